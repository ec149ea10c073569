"""The most that a run can cost: its strategies played with every rollout different and no vote decided."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tts.budget import ZERO, most, plus
from tts.course import choose
from tts.hostile import size_of
from tts.ledger import Ledger
from tts.models.tokens import BYTES_PER_TOKEN
from tts.protocols import Work
from tts.registry import Strategy
from tts.scope import Cast, StrategyRun
from tts.store import Store
from tts.suites import Execution, Suite, TestCase, TestOutcome
from tts.types import Budget, Effect, Rollout, Summary, Task


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Counts of effects and the sum of their bounds; a part of `cost` is None where a bound is unknown.

    `summaries` counts distillations too.
    """

    rollouts: int
    summaries: int
    verdicts: int
    cost: Budget


LONGEST = 120_000
"""Characters of a stand-in summary: more than any of our performers reads of one, so that what they are
reckoned to cost is at its most. A judge of models reads 96,000 of a candidate at most, unless told so."""

TOLD = "claim " * (LONGEST // 6)


class Costliest:
    """An executor that does nothing and returns what costs most downstream; it counts what is asked."""

    def __init__(self) -> None:
        self.asked: list[Effect[Any]] = []

    async def perform(self, effects: Sequence[Effect[Any]], work: Work) -> Sequence[Any]:
        """Return distinct rollouts, long summaries, and abstentions, which leave every vote tied.

        The rollouts are equally long, so that no race cuts one. Their trajectories are as long as their
        bound on tokens lets them be; without one a summarizer reckons with the most.
        """
        self.asked += effects
        return [_result(effect) for effect in effects]


def _result(effect: Effect[Any]) -> Any:
    if effect.kind == "rollout":
        made = Rollout(effect.key, effect.task.id, effect.occurrence, answer=effect.key, length=1.0)
        return replace(made, n_steps=1, trace_bytes=BYTES_PER_TOKEN * (effect.bound.tokens or 0))
    if effect.kind == "summary":
        return Summary(effect.key, effect.inputs[0], claims=(TOLD,))
    if effect.kind == "distil":
        return Summary(effect.key, sources=effect.inputs, claims=(TOLD,))
    if effect.kind == "generate":
        return Suite(effect.key, effect.params["kind"], effect.inputs, (TestCase(effect.key),))
    if effect.kind == "execute":
        return _execution(effect)
    if effect.kind == "evidence":
        return Summary(effect.key, effect.params["rollout"], claims=(TOLD,))
    return effect.returns()


def _execution(effect: Effect[Any]) -> Execution:
    """Return what lets every test through: it fails before any change, and no two outputs are the same."""
    before = len(effect.inputs) == 1 and effect.params["kind"] != "regression"
    outcome = TestOutcome("0", "failed" if before else "passed", effect.key)
    return Execution(effect.key, effect.inputs[0], "".join(effect.inputs[1:]), (outcome,))


async def ceiling(tasks: Sequence[Task], strategies: Sequence[Strategy], cast: Cast) -> Ceiling:
    """Return the most that the strategies can cost on the tasks, what they share counted once.

    The task with the longest prompt is played through and multiplied: what a strategy asks for at most does
    not depend on the task, and what that costs is reckoned from texts.
    """
    longest = max(tasks, key=lambda task: size_of(task.prompt))
    executor = Costliest()
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder))
        try:
            async with Ledger(store, executor) as ledger:
                for strategy in strategies:
                    await choose(StrategyRun(longest, ledger, cast), strategy)
        finally:
            store.close()
    total = ZERO
    for effect in executor.asked:
        total = plus(total, most(effect.bound))
    kinds = [effect.kind for effect in executor.asked]
    rollouts, verdicts = (kinds.count(kind) * len(tasks) for kind in ("rollout", "verdict"))
    summaries = (kinds.count("summary") + kinds.count("distil")) * len(tasks)
    return Ceiling(rollouts, summaries, verdicts, _budget([x * len(tasks) for x in total]))


def _budget(total: Sequence[float]) -> Budget:
    usd, tokens, seconds, rollouts = (None if x == float("inf") else x for x in total)
    return Budget(
        usd, None if tokens is None else int(tokens), seconds, None if rollouts is None else int(rollouts)
    )
