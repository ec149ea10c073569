"""League: everybody meets K opponents, and the best mean win rate wins.

Source: Chen, Pan, Li, Ding, Zhou, "Simple and Provable Scaling Laws for the Test-Time Compute of Large
Language Models", 2024, arXiv 2411.19477, the league-style algorithm.  Nobody goes out by losing once, so it
stands a judge that errs on some pairs, as long as right ones win more often on average.

Ours: the K opponents of the paper are drawn at random, here so that everybody has exactly K (one player has
one more where N and K are both odd): players stand in a seeded circle and meet their nearest neighbours.
An abstention counts half for either.  Equal outputs enter once (`merge`).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

from tts.protocols import Scope
from tts.types import Pool

from .contest import Pair, all_pairs, check, had_all, players, ranked, shares


@dataclass(frozen=True, slots=True)
class League:
    """Keeps the `keep` best of a league in which each meets `opponents` others (K), by mean win rate.

    Each meeting takes `votes` judge calls.  `merge` names the equivalence of outputs; None lets each rollout
    enter.

    Needs: a judge and summaries.
    Costs: N K / 2 meetings of `votes` judge calls, all at once.
    Use it: where time counts more than votes, or one wrong verdict must not put anybody out.
    """

    keep: int = 1
    opponents: int = 4
    votes: int = 2
    merge: str | None = "exact"
    needs: ClassVar[frozenset[str]] = frozenset({"judge", "summarizer"})

    def __post_init__(self) -> None:
        check("league", self.merge, keep=self.keep, opponents=self.opponents, votes=self.votes)

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the players with the best mean win rates."""
        entered = players(pool, self.merge)
        circle = list(entered)
        scope.rng("circle").shuffle(circle)
        pairs = meetings(len(circle), self.opponents) if len(circle) > self.keep else []
        tallies = await scope.compare([[circle[i], circle[j]] for i, j in pairs], votes=self.votes)
        rates: dict[str, list[float]] = defaultdict(list)
        for tally in tallies:
            for key, share in shares(tally).items():
                rates[key].append(share)
        worth = {r.key: (fmean(rates[r.key]) if rates[r.key] else 0.5,) for r in entered}
        whole = had_all(tallies, self.votes)
        return ranked(pool, entered, worth, scope, keep=self.keep, whole=whole)


def meetings(n: int, opponents: int) -> list[Pair]:
    """Return the pairs of n players in a circle of whom each meets so many others, its nearest first."""
    if opponents >= n - 1:
        return all_pairs(n)
    steps = [(i, (i + step) % n) for step in range(1, opponents // 2 + 1) for i in range(n)]
    across = [(i, (i + n // 2) % n) for i in range((n + 1) // 2)] if opponents % 2 else []
    return steps + across
