"""Adaptive-Consistency: sample until the majority is sure enough.

Source: Aggarwal, Madaan, Yang, Mausam, "Let's Sample Step by Step: Adaptive-Consistency for Efficient
Reasoning and Coding with LLMs", 2023, arXiv 2305.11860: sample one at a time, at most 40, and stop as soon
as the most frequent answer is the majority of the two most frequent with probability 0.95 or more, under a
Beta distribution of their counts.

Ours: with `wave` above 1 as many rollouts are made at once and the rule is asked after each wave, which
costs some samples and saves time; rollouts without an output do not count.  The stage samples only: a vote
follows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import ClassVar

from tts.equivalence import Equivalence, equivalence
from tts.errors import UsageError
from tts.protocols import Scope
from tts.types import Pool, Rollout

from .ballots import counted
from .waves import until


@dataclass(frozen=True, slots=True)
class Adaptive:
    """Makes rollouts, `wave` at a time, until the majority is sure to `level` or there are `cap` of them.

    They stand in place of the pool, in the order of their indices.  `same` says when two outputs are equal,
    as for a vote.

    Needs: answers.
    Costs: as many rollouts as a task takes, 4 where all agree and `cap` at most, in turns of `wave`.
    Use it: where many tasks are easy and time matters less than rollouts; a vote follows it.
    """

    cap: int = 40
    level: float = 0.95
    wave: int = 1
    same: str | Equivalence | None = None
    needs: ClassVar[frozenset[str]] = frozenset({"agent"})

    def __post_init__(self) -> None:
        if self.cap < 1 or self.wave < 1:
            raise UsageError(
                f"adaptive takes cap >= 1 and wave >= 1, not cap={self.cap} and wave={self.wave}"
            )
        if not 0 < self.level <= 1:
            raise UsageError(f"adaptive takes a level above 0 and up to 1, not {self.level}")
        if isinstance(self.same, str):
            equivalence(self.same)

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the rollouts, incomplete where the budget ended before the majority was sure."""
        made = await until(self._sure, scope, cap=self.cap, wave=self.wave)
        return replace(made, incomplete=made.incomplete or pool.incomplete)

    async def _sure(self, rollouts: Sequence[Rollout], last: Sequence[Rollout]) -> bool:
        sizes = sorted((len(group) for group in await counted(rollouts, self.same)), reverse=True)
        return bool(sizes) and sureness(sizes[0], sum(sizes[1:2])) >= self.level


def sureness(a: int, b: int) -> float:
    """Return P(p > 1/2) for p ~ Beta(a + 1, b + 1): the first answer, with `a` votes, is the majority of two.

    >>> [round(sureness(*counts), 3) for counts in ((4, 0), (5, 1), (6, 1))]
    [0.969, 0.938, 0.965]
    """
    return sum(comb(a + b + 1, j) for j in range(a + 1)) / (1 << (a + b + 1))
