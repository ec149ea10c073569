"""Consensus: a tournament among the answers that most attempts agree on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import ClassVar

from tts_strategies.rtv import RTV

from tts.equivalence import classes
from tts.protocols import Scope
from tts.types import Pool


@dataclass(frozen=True, slots=True)
class Consensus:
    """Lets a judge choose among the classes of equal outputs that are large enough.

    A class goes on when it is at least `share` (0 to 1) as large as the largest. `same` says when two
    outputs are equal: patch, text, number or exact. `votes` are the judge's votes on each pair.
    """

    share: float = 0.5
    same: str = "patch"
    votes: int = 8
    needs: ClassVar[frozenset[str]] = frozenset({"judge", "summarizer"})

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the winner of a tournament that each large class enters once."""
        numbers = classes([rollout.output for rollout in pool], self.same)
        sizes = Counter(n for n in numbers if n is not None)
        enough = self.share * max(sizes.values(), default=0)
        rollouts = [r for r, n in zip(pool, numbers, strict=True) if n is not None and sizes[n] >= enough]
        tournament = RTV(votes=self.votes, merge=self.same)
        return await tournament(replace(pool, rollouts=tuple(rollouts) or pool.rollouts), scope)
