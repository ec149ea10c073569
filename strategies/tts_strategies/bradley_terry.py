"""Bradley-Terry: one strength for each candidate, fitted to all votes at once.

Source: Bradley, Terry, "Rank Analysis of Incomplete Block Designs: I. The Method of Paired Comparisons",
Biometrika 39, 1952.  A vote prefers i to j with probability 1 / (1 + exp(t_j - t_i)).  The strengths t are
those of maximum posterior under a normal prior, found by the package choix (Maystre, `opt_pairwise`).

Which pairs meet is left open by the model: all of them once, or some at random.  Abstentions are left out.
Equal outputs enter once (`merge`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tts.errors import UsageError
from tts.protocols import Scope
from tts.types import Pool, Tally

from .contest import Pair, all_pairs, check, had_all, players, ranked

DIGITS = 6
"""Strengths that agree in so many digits are equal."""


@dataclass(frozen=True, slots=True)
class BradleyTerry:
    """Keeps the `keep` strongest by a fit to `votes` votes on each pair.

    `pairs` is how many pairs meet, drawn at random; None: all.  `spread` is the standard deviation of
    strengths before any vote, in logits.  `merge` names the equivalence of outputs; None lets each rollout
    enter.

    Needs: a judge and summaries.
    Costs: `votes` judge calls on each pair, N (N - 1) / 2 pairs where not fewer are asked for, all at once.
    Use it: where votes are plenty and time is short, or each candidate has met others than the rest.
    """

    keep: int = 1
    votes: int = 2
    pairs: int | None = None
    spread: float = 1.5
    merge: str | None = "exact"
    name: ClassVar[str] = "bradley_terry"
    needs: ClassVar[frozenset[str]] = frozenset({"judge", "summarizer"})

    def __post_init__(self) -> None:
        check("bradley_terry", self.merge, keep=self.keep, votes=self.votes)
        if (self.pairs is not None and self.pairs < 1) or not 0 < self.spread < float("inf"):
            raise UsageError(
                "bradley_terry takes pairs of 1 or more, or None, and spread > 0, not "
                f"pairs={self.pairs} and spread={self.spread}"
            )

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the strongest."""
        entered = players(pool, self.merge)
        pairs = self._schedule(len(entered), scope) if len(entered) > self.keep else []
        tallies = await scope.compare([[entered[i], entered[j]] for i, j in pairs], votes=self.votes)
        strength = strengths([r.key for r in entered], tallies, self.spread)
        worth = {rollout.key: (x,) for rollout, x in zip(entered, strength, strict=True)}
        whole = had_all(tallies, self.votes)
        return ranked(pool, entered, worth, scope, keep=self.keep, whole=whole)

    def _schedule(self, n: int, scope: Scope) -> list[Pair]:
        pairs = all_pairs(n)
        return pairs if self.pairs is None else scope.rng("pairs").sample(pairs, min(self.pairs, len(pairs)))


def strengths(keys: Sequence[str], tallies: Sequence[Tally], spread: float) -> list[float]:
    """Return the strengths of maximum posterior, in logits about 0.0, in the order of the keys."""
    import choix

    place = {key: i for i, key in enumerate(keys)}
    won = [
        (place[verdict.preferred], place[other])
        for tally in tallies
        for verdict in tally.verdicts
        if verdict.preferred is not None
        for other in tally.group
        if other != verdict.preferred
    ]
    if not won:
        return [0.0] * len(keys)
    fitted = choix.opt_pairwise(len(keys), won, alpha=1 / (2 * spread**2), tol=1e-9)
    return [round(float(x), DIGITS) for x in fitted]
