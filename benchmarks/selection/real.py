"""The real stages through the real scope and ledger, with a judge that answers as the world does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import anyio
import numpy as np

from benchmarks.selection.world import Ints, World
from tts.protocols import Stage
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


async def _choice(world: World, row: int, stage: Stage, seed: int) -> tuple[int, int]:
    """Return which candidate the stage picks, and the votes it asked for."""
    judge = WorldJudge(world, row)
    async with opened(judge=judge) as ledger:
        run = strategy_run(ledger, task=Task(f"task-{row}", "Simulated."), judge=judge, seed=seed)
        given = (Rollout(answer=f"{i:02}", index=i) for i in range(world.right.shape[1]))
        pool = await stored(Pool(tuple(given)), run)
        judge.keys = sorted(rollout.key for rollout in pool)
        best = await stage(pool, run.scope())
        return judge.keys.index(best.rollouts[0].key), judge.asked.total()


def choices(world: World, stage: Stage, seed: int = 0) -> tuple[Ints, Ints]:
    """Return each task's choice and votes, through the real scope."""
    picks = [anyio.run(partial(_choice, world, row, stage, seed)) for row in range(world.tasks)]
    return np.array([pick for pick, _ in picks]), np.array([votes for _, votes in picks])
