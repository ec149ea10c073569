"""Majority vote over outputs.

Source: Wang et al., "Self-Consistency Improves Chain of Thought Reasoning in Language Models", 2022,
arXiv 2203.11171.  Ties and abstention are left open there; here they are parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import ClassVar, Literal

from tts.equivalence import Equivalence, equivalence
from tts.errors import UsageError
from tts.protocols import Scope
from tts.types import Pool, Rollout

from .ballots import counted

Ties = Literal["random", "shortest", "first"]
Place = tuple[float, int, int, str]
"""Where a rollout or a class stands among equals; smaller is better."""


@dataclass(frozen=True, slots=True)
class Vote:
    """Ranks the rollouts by the size of the class of equal outputs they belong to, largest first.

    `same` says when two outputs are equal: a name (exact, text, number, math, patch) or a function of two
    texts.  None takes `patch` for patches and `text` for answers.  A rollout without an output abstains: it
    has no vote and comes last.  `ties` between classes of one size: `random` (seeded), `shortest` (the class
    that holds the shortest rollout; an unknown length counts as the longest), or `first` (the class that
    holds the earliest iteration's lowest index, which also decides where lengths are equal).

    Needs: answers.
    Costs: nothing beyond its rollouts.
    Use it: where answers can be compared and the right one comes up most often.
    """

    same: str | Equivalence | None = None
    ties: Ties = "random"
    free: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.ties not in ("random", "shortest", "first"):
            raise UsageError(f"vote's ties are 'random', 'shortest' or 'first', not {self.ties!r}")
        if isinstance(self.same, str):
            equivalence(self.same)

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the same rollouts, ranked: larger classes first, inside a class as the tie rule says."""
        groups = await counted(pool.rollouts, self.same)
        tie = self._tie(groups, scope)
        ranked = sorted(groups, key=lambda group: (-len(group), tie[id(group)]))
        voters = [r for group in ranked for r in sorted(group, key=self._within)]
        silent = sorted((r for r in pool if not (r.output or "").strip()), key=self._within)
        return replace(pool, rollouts=(*voters, *silent), ranked=True)

    def _tie(self, groups: Sequence[list[Rollout]], scope: Scope) -> dict[int, Place]:
        """Return each group's place among groups of its size, by the group's id."""
        if self.ties != "random":
            return {id(group): min(map(self._within, group)) for group in groups}
        drawn = scope.rng("vote").sample(range(len(groups)), len(groups))
        return {id(group): (float(n), 0, 0, "") for group, n in zip(groups, drawn, strict=True)}

    def _within(self, rollout: Rollout) -> Place:
        length = rollout.length if self.ties == "shortest" else 0.0
        return (inf if length is None else length, rollout.iteration, rollout.index, rollout.key)
