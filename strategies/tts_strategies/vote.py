"""Majority vote over outputs.

Source: Wang et al., "Self-Consistency Improves Chain of Thought Reasoning in Language Models", 2022,
arXiv 2203.11171.  Ties and abstention are left open there; here they are parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar, Literal

from tts.equivalence import Equivalence, classes, equivalence
from tts.errors import UsageError
from tts.protocols import Scope
from tts.types import Pool, Rollout

Ties = Literal["random", "shortest", "first"]


@dataclass(frozen=True, slots=True)
class Vote:
    """Ranks the rollouts by the size of the class of equal outputs they belong to, largest first.

    `same` says when two outputs are equal: a name (exact, text, number, patch) or a function of two texts.
    None takes `patch` for patches and `text` for answers.  A rollout without an output abstains: it has no
    vote and comes last.  `ties` between classes of one size: `random` (seeded), `shortest` (the class that
    holds the shortest rollout), or `first` (the class seen first).
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
        groups = self._groups(pool.rollouts)
        tie = self._tie(scope.rng("vote"), sorted(groups, key=lambda g: min(r.key for r in g)))
        ranked = sorted(groups, key=lambda group: (-len(group), tie[id(group)]))
        voters = [r for group in ranked for r in sorted(group, key=self._within)]
        silent = [r for r in pool.rollouts if not r.output]
        return replace(pool, rollouts=(*voters, *silent), ranked=True)

    def _groups(self, rollouts: Sequence[Rollout]) -> list[list[Rollout]]:
        same = self.same or ("patch" if any(r.patch is not None for r in rollouts) else "text")
        groups: dict[int, list[Rollout]] = {}
        for rollout, number in zip(rollouts, classes([r.output for r in rollouts], same), strict=True):
            if number is not None:
                groups.setdefault(number, []).append(rollout)
        return list(groups.values())

    def _tie(self, rng: Random, groups: Sequence[list[Rollout]]) -> dict[int, tuple[float, int]]:
        """Return each group's place among groups of its size; smaller is better."""
        drawn = rng.sample(range(len(groups)), len(groups))
        if self.ties == "random":
            return {id(group): (0.0, place) for group, place in zip(groups, drawn, strict=True)}
        return {id(group): min(self._within(r) for r in group) for group in groups}

    def _within(self, rollout: Rollout) -> tuple[float, int]:
        shortest = self.ties == "shortest" and rollout.length is not None
        return (float(rollout.length or 0.0) if shortest else 0.0, rollout.index)
