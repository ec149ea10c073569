"""Runs an experiment for a command: the ceiling first, progress meanwhile, Ctrl-C heard, the resume told."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from tts.ceiling import Ceiling, ceiling
from tts.cli.console import say
from tts.cli.progress import Meter, Tally, meter
from tts.errors import UsageError
from tts.events import Listener
from tts.experiment import FLAGS, NO_TASK, Experiment
from tts.report import text
from tts.run import Choice
from tts.store import Store
from tts.types import RESULTS, Budget


@dataclass(frozen=True, slots=True)
class Played:
    """What a session did: rollouts performed, rollouts that were there, and whether it was interrupted."""

    n_run: int
    n_found: int
    interrupted: bool


async def most(experiment: Experiment) -> Ceiling:
    """Return the most that the experiment can cost.

    Raises:
        UsageError: the experiment cannot run.
    """
    experiment.check()
    strategies, _ = experiment.planned()
    if not strategies:
        raise UsageError("only estimators were asked for: add a strategy that runs, such as -s single")
    return await ceiling(experiment.tasks, strategies, experiment.cast)


def can_cost(experiment: Experiment) -> bool:
    """Return whether anybody in the cast may cost dollars or tokens."""
    cast = experiment.cast
    roles = (cast.agent, cast.summarizer, cast.judge)
    bounds = [role.bound_on(NO_TASK) for role in roles if role is not None]
    return any(bound.usd != 0 or bound.tokens != 0 for bound in bounds)


def ceiling_line(found: Ceiling, budget: Budget, flags: Mapping[str, str] = FLAGS) -> str:
    """Return the ceiling, and the limits that stop the run before it, as one line.

    `flags` give what is unknown, by dimension.
    """
    counts = [
        text.plural(found.rollouts, "rollout"),
        f"{found.summaries:,} {'summary' if found.summaries == 1 else 'summaries'}",
        text.plural(found.verdicts, "vote"),
    ]
    cost = found.cost
    known = [text.usd(cost.usd)] * (cost.usd is not None)
    known += [text.plural(cost.tokens or 0, "token")] * (cost.tokens is not None)
    known += [f"{text.seconds(cost.seconds)} of work"] * (cost.seconds is not None)
    unknown = [name for name in flags if getattr(cost, name) is None]
    names = listed(["dollars" if name == "usd" else name for name in unknown])
    rest = f"; how many {names} is unknown without {listed([flags[n] for n in unknown])}" if unknown else ""
    limits = _limits(budget)
    stop = f"; the run stops at {', '.join(limits)}" if limits else ""
    return f"At most {', '.join([*counts, *known])}{rest}{stop}."


def listed(names: list[str]) -> str:
    """Return the names as a list in a sentence."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def ceiling_json(found: Ceiling, budget: Budget) -> dict[str, Any]:
    """Return the ceiling and the limits as plain values; null: not known, or no limit."""
    return {"ceiling": asdict(found), "budget": asdict(budget)}


def _limits(budget: Budget) -> list[str]:
    parts = [text.usd(budget.usd)] * (budget.usd is not None)
    parts += [text.plural(budget.tokens or 0, "token")] * (budget.tokens is not None)
    parts += [text.seconds(budget.seconds)] * (budget.seconds is not None)
    parts += [text.plural(budget.rollouts or 0, "rollout")] * (budget.rollouts is not None)
    return parts


Keeping = Callable[[Store], AbstractContextManager[Listener]]
"""Makes a listener that keeps something beside the store of a run while it is open."""


async def play(
    experiment: Experiment,
    folder: Path,
    *,
    grace_seconds: float,
    n_rollouts: int,
    keeping: Keeping = lambda _: nullcontext(lambda _: None),
    shown: Callable[[Tally], Meter] = meter,
) -> Played:
    """Run what is missing in `folder`, of at most `n_rollouts` rollouts.

    The first Ctrl-C starts nothing more and gives what is under way `grace_seconds`; the second cancels it.

    Raises:
        UsageError: the run cannot be opened.
    """
    store = Store.open(folder)
    try:
        tally = Tally(total=n_rollouts, stored=min(n_rollouts, _n_stored(store, experiment)))
        stop = anyio.Event()
        with keeping(store) as keeper, shown(tally) as listener:
            heard = replace(experiment, listeners=[*experiment.listeners, keeper, listener])
            await interruptible(partial(heard.run_in, store), stop, grace_seconds)
        n_used = _n_used(store, experiment)
        return Played(tally.performed, max(0, n_used - tally.kept), stop.is_set())
    finally:
        store.close()


async def interruptible(
    work: Callable[..., Awaitable[None]], stop: anyio.Event, grace_seconds: float
) -> None:
    """Await `work(interrupt=stop)`; the first Ctrl-C sets `stop`, the grace's end or a second one cancels."""
    async with anyio.create_task_group() as group:
        group.start_soon(_hear, stop, scope := anyio.CancelScope(), grace_seconds)
        with scope:
            await work(interrupt=stop)
        group.cancel_scope.cancel()


async def _hear(stop: anyio.Event, scope: anyio.CancelScope, grace_seconds: float) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            if stop.is_set():
                scope.cancel()
                continue
            stop.set()
            scope.deadline = anyio.current_time() + grace_seconds
            say(f"stopping: what is under way has {grace_seconds:g} s to end; Ctrl-C again cancels it")


def _n_stored(store: Store, experiment: Experiment) -> int:
    """How many rollouts of this agent are there; of other seeds or tasks too, so only a bar may go by it."""
    agent = experiment.cast.agent
    performer = agent.fingerprint if agent else ""
    counts = store.counts().items()
    return sum(n for (kind, who, s), n in counts if kind == "rollout" and who == performer and s in RESULTS)


def _n_used(store: Store, experiment: Experiment) -> int:
    """How many different rollouts with a result the strategies of this experiment used on its tasks."""
    tasks = {task.id for task in experiment.tasks}
    names = {strategy.name for strategy in experiment.planned()[0]}
    choices = (c for c in store.outcomes(Choice) if c.task_id in tasks and c.strategy in names)
    return sum(store.find(key) is not None for key in {key for choice in choices for key in choice.used})


def ended_line(played: Played, folder: Path) -> str:
    """Return what the session did."""
    return f"{text.plural(played.n_run, 'rollout')} run, {played.n_found:,} found in {text.line(str(folder))}"


def resume_line() -> str:
    """Return how to go on after an interruption."""
    return (
        f"interrupted; what ended is kept. Resume with the same command: {shlex.join(['tts', *sys.argv[1:]])}"
    )
