"""Recorded pools and verdicts in, expectations over random subsets out; nothing is run and nothing paid."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import anyio

from tts.comparison import Comparison, Measured, check_names, compare
from tts.errors import UsageError
from tts.protocols import Stage
from tts.replay.engine import TaskReplay
from tts.replay.recorded import Record, Same, read_pool, read_verdicts
from tts.replay.scope import Votes, votes_by_task
from tts.samples import Estimator, Expectation, Samples

__all__ = ["Named", "replay"]

STAGE_DRAWS = 1_000
ESTIMATOR_DRAWS = 10_000


@runtime_checkable
class Named(Protocol):
    """A strategy as the registry gives it: its name, and the stage that runs it."""

    @property
    def name(self) -> str: ...
    @property
    def run(self) -> Stage: ...


Strategy = str | Named | Stage
Resolve = Callable[[str], Estimator | Named | Stage]


@dataclass(frozen=True, slots=True)
class _Recording:
    tasks: Sequence[Samples]
    votes: dict[str, Votes]
    seed: int
    draws: int | None


def replay(
    pool: Path | Iterable[Record],
    strategies: Sequence[Strategy],
    *,
    verdicts: Path | Iterable[Record] | None = None,
    seed: int = 0,
    draws: int | None = None,
    same: Same = "exact",
    resolve: Resolve | None = None,
) -> Comparison:
    """Return what each strategy is expected to score and cost on a recorded pool, compared pair by pair.

    The expectation is over random subsets of as many samples as the strategy takes: exact where a formula or
    the number of subsets allows, else over `draws` subsets without replacement (by default 1,000 where stages
    run and 10,000 where an estimator draws) with `mc_se` beside it. Costs are per task; in a replay a sample
    or verdict that does not record its `calls` counts as one, and summaries, which are not recorded, are not
    counted. `same` says when two outputs are the same.
    `resolve` turns a strategy's text into an estimator, a strategy or a stage; by default the registry does.

    Raises:
        UsageError: bad input; the message says where.
    """
    if draws is not None and draws < 2:
        raise UsageError(f"a Monte Carlo error needs 2 draws or more, not {draws}")
    tasks = read_pool(pool, same=same)
    recording = _Recording(tasks, votes_by_task(read_verdicts(verdicts or ()), tasks), seed, draws)
    found = [_found(strategy, resolve or _registered) for strategy in strategies]
    check_names([name for name, _ in found])
    measured = [_measured(name, strategy, recording) for name, strategy in found]
    return compare(measured, {t.task_id: t.group for t in tasks})


def _registered(text: str) -> Estimator | Named | Stage:
    from tts import registry

    found: Estimator | Named = registry.estimator(text) or registry.resolve(text)
    return found


def _found(strategy: Strategy, resolve: Resolve) -> tuple[str, Estimator | Stage]:
    """The name as given, and what runs; a strategy's text names it where it is given as an object."""
    found = resolve(strategy) if isinstance(strategy, str) else strategy
    name = strategy if isinstance(strategy, str) else getattr(found, "name", None) or str(found)
    return name, found.run if isinstance(found, Named) else found


def _measured(name: str, strategy: Estimator | Stage, recording: _Recording) -> Measured:
    if isinstance(strategy, Estimator):
        expected = _estimated(strategy, recording)
    else:
        expected = _outside_loop(partial(_replayed, name, strategy, recording))
    by_task = dict(zip((t.task_id for t in recording.tasks), expected, strict=True))
    return Measured(
        name=name,
        values={t: e.value for t, e in by_task.items()},
        costs={t: e.cost for t, e in by_task.items()},
        oracle=isinstance(strategy, Estimator) and strategy.oracle,
        mc_se={t: e.mc_se for t, e in by_task.items() if e.mc_se is not None},
    )


def _estimated(estimator: Estimator, recording: _Recording) -> list[Expectation]:
    draws = recording.draws or ESTIMATOR_DRAWS
    return [estimator(t, draws=draws, seed=recording.seed) for t in recording.tasks]


async def _replayed(name: str, stage: Stage, recording: _Recording) -> list[Expectation]:
    replays = (
        TaskReplay(stage, t, recording.votes[t.task_id], name=name, seed=recording.seed)
        for t in recording.tasks
    )
    return [await r.expectation(recording.draws or STAGE_DRAWS) for r in replays]


def _outside_loop(run: Callable[[], object]) -> list[Expectation]:
    """Run in this thread or, where an event loop already runs in it (a notebook), in one of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return anyio.run(run)  # type: ignore[arg-type]
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(anyio.run, run).result()  # type: ignore[arg-type]
