"""Independent sampling: n rollouts of the task, each in a fresh environment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from tts.errors import UsageError
from tts.protocols import Scope
from tts.types import Pool


@dataclass(frozen=True, slots=True)
class Sample:
    """Adds the rollouts 0 to n - 1 to the pool, in that order, each once; `n` is 1 or more.

    Needs: nothing.
    Costs: n rollouts, all at the same time.
    Use it: first, before whatever picks from the rollouts or refines them.
    """

    n: int
    needs: ClassVar[frozenset[str]] = frozenset({"agent"})

    def __post_init__(self) -> None:
        if self.n < 1:
            raise UsageError(f"sample(n) takes n of 1 or more, not {self.n}")

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the pool with the new rollouts behind those already there."""
        there = set(pool.keys)
        new = [rollout for rollout in await scope.sample(self.n) if rollout.key not in there]
        return replace(pool, rollouts=(*pool.rollouts, *new), ranked=False)
