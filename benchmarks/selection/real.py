"""The real stages through the real scope and ledger, with a judge that answers as the world does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import anyio
import numpy as np

from benchmarks.selection.world import Floats, Ints, World
from tts.protocols import Author, Stage
from tts.suites import Execution, Suite, SuiteKind, TestCase, TestOutcome
from tts.testing import opened, strategy_run
from tts.testing.scripted import stored
from tts.types import FREE, Budget, Candidate, Pool, Rollout, Task, Verdict


@dataclass(slots=True)
class WorldJudge:
    """Answers for one task; candidate i is the i-th rollout in the order of the keys."""

    world: World
    row: int
    fingerprint: str = "simulated"
    bound: Budget = FREE
    keys: list[str] = field(default_factory=list[str])
    asked: Counter[tuple[int, int]] = field(default_factory=Counter[tuple[int, int]])

    async def compare(self, task: Task, shown: Sequence[Candidate], *, n: int = 1) -> list[Verdict]:
        """Return the next n votes in the order shown."""
        first, second = (self.keys.index(candidate.rollout.key) for candidate in shown)
        done = self.asked[first, second]
        self.asked[first, second] += n
        numbers = np.arange(done, done + n, dtype=np.int64)
        row, one, other = (np.full(n, x, dtype=np.int64) for x in (self.row, first, second))
        votes = self.world.answer(row, one, other, numbers)
        return [Verdict(preferred=shown[int(vote)].rollout.key) for vote in votes]


@dataclass(frozen=True, slots=True)
class WorldTester:
    """Each candidate's own test on the others; `told` (tests, candidates) says who passes, by number."""

    told: Floats
    keys: list[str]
    fingerprint: str = "simulated"
    bound: Budget = FREE

    async def write(
        self, task: Task, kind: SuiteKind, authors: Sequence[Author], *, n: int = 1, start: int = 0
    ) -> list[Suite]:
        """Return the author's test: its number."""
        return [Suite(cases=(TestCase(str(self.keys.index(authors[0][0].key))),))] * n

    async def execute(self, task: Task, suite: Suite, rollout: Rollout | None) -> Execution:
        """Return how the candidate ends."""
        passed = rollout is not None and self.told[int(suite.cases[0].code), self.keys.index(rollout.key)]
        return Execution(outcomes=(TestOutcome("0", "passed" if passed else "failed"),))


async def _choice(world: World, row: int, stage: Stage, seed: int, told: Floats | None) -> tuple[int, int]:
    """Return which candidate the stage picks, and the votes it asked for."""
    judge = WorldJudge(world, row)
    tester = None if told is None else WorldTester(told[row], judge.keys)
    async with opened(judge=judge, tester=tester) as ledger:
        task = Task(f"task-{row}", "Simulated.")
        run = strategy_run(ledger, task=task, judge=judge, tester=tester, seed=seed)
        given = (Rollout(answer=f"{i:02}", index=i) for i in range(world.right.shape[1]))
        pool = await stored(Pool(tuple(given)), run)
        judge.keys += sorted(rollout.key for rollout in pool)
        best = await stage(pool, run.scope())
        return judge.keys.index(best.rollouts[0].key), judge.asked.total()


def choices(world: World, stage: Stage, seed: int = 0, *, told: Floats | None = None) -> tuple[Ints, Ints]:
    """Return each task's choice and votes, through the real scope.

    `told` (tasks, tests, candidates) is which candidate passes whose test, for a stage that runs them.
    """
    picks = [anyio.run(partial(_choice, world, row, stage, seed, told)) for row in range(world.tasks)]
    return np.array([pick for pick, _ in picks]), np.array([votes for _, votes in picks])
