"""Knockout: pairs meet, each is compared K times, the winners of a round meet in the next.

Source: Chen, Pan, Li, Ding, Zhou, "Simple and Provable Scaling Laws for the Test-Time Compute of Large
Language Models", 2024, arXiv 2411.19477.  N candidates are paired at random; of a pair the one preferred in
more of K comparisons goes on, an equal count is decided by a fair coin, and who is left over goes on
unpaired.

Ours: over the K comparisons both orders of showing take turns; equal outputs enter once (`merge`), which
the paper does not do; with `keep` above one the knockout stops at so many survivors.  Where the paper's
bound is wanted, `failure_bound` has it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tts.errors import UsageError
from tts.protocols import Scope
from tts.types import Pool, Rollout

from .contest import check, had_all, players, ranked


@dataclass(frozen=True, slots=True)
class Knockout:
    """Keeps the `keep` last of a knockout in which each pair is compared `votes` times (K).

    The survivors are ranked by lot.  `merge` names the equivalence of outputs; None lets each rollout enter.

    Needs: a judge and summaries.
    Costs: K judge calls a pair, K (N - 1) for one winner, in log2 N rounds one after another.
    Use it: where few votes must do and the judge is better than a coin on most pairs.
    """

    keep: int = 1
    votes: int = 4
    merge: str | None = "exact"
    needs: ClassVar[frozenset[str]] = frozenset({"judge", "summarizer"})

    def __post_init__(self) -> None:
        check("knockout", self.merge, keep=self.keep, votes=self.votes)

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the survivors."""
        left = players(pool, self.merge)
        round_, whole = 0, True
        while len(left) > self.keep:
            round_ += 1
            left, all_had = await self._round(left, round_, scope)
            whole = whole and all_had
        return ranked(pool, left, {rollout.key: () for rollout in left}, scope, keep=self.keep, whole=whole)

    async def _round(self, left: Sequence[Rollout], round_: int, scope: Scope) -> tuple[list[Rollout], bool]:
        """Return the round's winners with those who met nobody, and whether every vote was had."""
        order = sorted(left, key=lambda rollout: rollout.key)
        scope.rng("pairing", str(round_)).shuffle(order)
        n_pairs = min(len(order) // 2, len(order) - self.keep)
        pairs = [order[2 * i : 2 * i + 2] for i in range(n_pairs)]
        winners = order[2 * n_pairs :]
        tallies = await scope.compare(pairs, votes=self.votes)
        for pair, tally in zip(pairs, tallies, strict=True):
            leaders = sorted((r for r in pair if r.key in tally.leaders), key=lambda rollout: rollout.key)
            winners.append(scope.rng("coin", *sorted(tally.group)).choice(leaders))
        return winners, had_all(tallies, self.votes)


def failure_bound(n: int, votes: int, p_gen: float, p_comp: float) -> float:
    """Return the most that a knockout can fail with: a probability, 1.0 where the bound says nothing.

    (1 - p_gen)^N + ceil(log2 N) exp(-2 K (p_comp - 1/2)^2), arXiv 2411.19477, where an attempt is right with
    probability `p_gen`, and a comparison prefers the right one of a right and a wrong one with probability
    `p_comp`, for `n` attempts (N) and `votes` independent comparisons of a pair (K).

    Raises:
        UsageError: n or votes is below 1, p_gen is not in [0, 1], or p_comp not in (1/2, 1].
    """
    if n < 1 or votes < 1 or not 0 <= p_gen <= 1 or not 0.5 < p_comp <= 1:
        raise UsageError(
            "the bound takes n and votes of 1 or more, 0 <= p_gen <= 1 and 0.5 < p_comp <= 1, not "
            f"n={n}, votes={votes}, p_gen={p_gen}, p_comp={p_comp}"
        )
    rounds = (n - 1).bit_length()
    return min(1.0, (1 - p_gen) ** n + rounds * math.exp(-2 * votes * (p_comp - 0.5) ** 2))
