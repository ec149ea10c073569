"""Weighted vote: answers by the sum of what those who gave them weigh.

Sources: Li, Lin, Zhang, Fu, Chen, Lou, Chen, "Making Language Models Better Reasoners with Step-Aware
Verifier", 2022, arXiv 2206.02336: an answer has the sum of a verifier's scores.  Kang, Zhao, Song, "Scalable
Best-of-N Selection for Large Language Models via Self-Certainty", 2025, arXiv 2502.18581: Borda voting, in
which the rollout of rank r of N by its score weighs (N - r)^p, the best having rank 0, so that only the
order of the scores counts.

Ours: equal scores share the mean weight of their ranks; a negative score weighs nothing in a sum; a rollout
without a score weighs nothing; where no rollout has one, each weighs 1, which is the majority vote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import fmean
from typing import ClassVar, Literal

from tts.equivalence import Equivalence, equivalence
from tts.errors import UsageError
from tts.protocols import Scope
from tts.types import Pool, Rollout

from .ballots import by_weight, signal_of


@dataclass(frozen=True, slots=True)
class Weighted:
    """Ranks the rollouts by the weight of the class of equal outputs they belong to, heaviest first.

    `signal` names the rollouts' own number that scores them, more being better.  `by` makes weights of
    scores: `sum` takes them as they are, `borda` by rank with the exponent `p` (0 counts heads, a large one
    lets the best decide).  `same` says when two outputs are equal, as for a vote.  Equal weights go by lot.

    Needs: answers, and a score in the signals, such as a verifier's or a mean log-probability.
    Costs: nothing beyond its rollouts.
    Use it: where a score tells something and the right answer still comes up more than once.
    """

    signal: str = "score"
    by: Literal["sum", "borda"] = "sum"
    p: float = 0.5
    same: str | Equivalence | None = None
    free: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.by not in ("sum", "borda"):
            raise UsageError(f"weighted's by is 'sum' or 'borda', not {self.by!r}")
        if not (isfinite(self.p) and self.p >= 0):
            raise UsageError(f"weighted takes p of 0 or more, not {self.p}")
        if isinstance(self.same, str):
            equivalence(self.same)

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the same rollouts, ranked."""
        return await by_weight(pool, self._weights(pool.rollouts), self.same, scope)

    def _weights(self, rollouts: Sequence[Rollout]) -> dict[str, float]:
        found = ((r.key, signal_of(r, self.signal)) for r in rollouts if (r.output or "").strip())
        scores = {key: score for key, score in found if score is not None}
        if not scores:
            return dict.fromkeys((r.key for r in rollouts), 1.0)
        if self.by == "sum":
            return {key: max(0.0, score) for key, score in scores.items()}
        weights = borda(list(scores.values()), self.p)
        return dict(zip(scores, weights, strict=True))


def borda(scores: Sequence[float], p: float = 0.5) -> list[float]:
    """Return what each of N scores weighs: (N - rank)^p, the highest having rank 0, equal ones the mean.

    >>> borda([0.2, 0.9, 0.5], p=1.0)
    [1.0, 3.0, 2.0]
    """
    n, ordered = len(scores), sorted(scores, reverse=True)
    ranks: dict[float, list[int]] = {}
    for rank, score in enumerate(ordered):
        ranks.setdefault(score, []).append(rank)
    weight = {score: fmean((n - rank) ** p for rank in tied) for score, tied in ranks.items()}
    return [weight[score] for score in scores]
