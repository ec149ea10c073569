"""Swiss pairwise verification: after everybody has met two others, those who stand close meet.

Source: "V1: Unifying Generation and Self-Verification for Parallel Reasoners", 2026, arXiv 2603.04304
(V1-Infer).  The judge scores both of a pair from 1 to 10; who has more wins, and the verdict weighs |r_i -
r_j| / 9.  A candidate's worth is its weighted win rate.  First every candidate meets some others; then,
until B N comparisons are spent, those are paired within a window of the current ranking about whom least is
sure, whose win rates are nearest.

Ours: the first phase is one ring in a seeded order, so everybody meets two others and stands first once;
the second goes in waves in which each meets one other at most, those first who have met least often; of a
pair the one stands first who has done so less often.  A verdict without scores weighs 1, one with equal
scores nothing, and who has met nobody has a rate of one half.  Equal outputs enter once (`merge`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import ClassVar

from tts.pipeline import gather
from tts.protocols import Scope
from tts.types import Pool, Rollout, Tally, Verdict

from .contest import Pair, all_pairs, check, players, ranked

SCALE = 9
"""What lies between the worst score, 1, and the best, 10."""


@dataclass(frozen=True, slots=True)
class Swiss:
    """Keeps the `keep` best by weighted win rate, after `budget` comparisons a candidate (B) in all.

    Those meet who stand at most `window` places apart.  `merge` names the equivalence of outputs; None lets
    each rollout enter.

    Needs: a judge and summaries; a judge that scores from 1 to 10 tells it more.
    Costs: B N judge calls.
    Use it: where votes are few and the judge can say how sure it is.
    """

    keep: int = 1
    budget: int = 2
    window: int = 4
    merge: str | None = "exact"
    needs: ClassVar[frozenset[str]] = frozenset({"judge", "summarizer"})

    def __post_init__(self) -> None:
        check("swiss", self.merge, keep=self.keep, budget=self.budget, window=self.window)

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the players with the best weighted win rates."""
        entered = players(pool, self.merge)
        table = _Table(entered, scope.rng("pairing"))
        whole = len(entered) <= self.keep or await self._play(table, scope)
        worth = {rollout.key: (table.rate(i),) for i, rollout in enumerate(entered)}
        return ranked(pool, entered, worth, scope, keep=self.keep, whole=whole)

    async def _play(self, table: _Table, scope: Scope) -> bool:
        """Play wave after wave until the votes are spent; return whether none was refused."""
        left, lost = self.budget * len(table.players), 0
        wave = table.ring()[:left]
        while wave:
            left -= len(wave)
            had = await table.play(wave, scope)
            lost += len(wave) - had
            wave = table.close_pairs(self.window)[:left] if had else []
        return not lost


@dataclass(slots=True)
class _Table:
    """Where a contest stands: who was shown how often in which order, and what each has won of how much."""

    players: Sequence[Rollout]
    rng: Random
    shown: Counter[Pair] = field(default_factory=Counter[Pair])
    won: dict[int, float] = field(default_factory=dict[int, float])
    weighed: dict[int, float] = field(default_factory=dict[int, float])

    def rate(self, i: int) -> float:
        return self.won[i] / self.weighed[i] if self.weighed.get(i) else 0.5

    def ring(self) -> list[Pair]:
        order = list(range(len(self.players)))
        self.rng.shuffle(order)
        pairs = list(zip(order, order[1:] + order[:1], strict=True))
        return pairs if len(order) > 2 else pairs[:1]

    def close_pairs(self, window: int) -> list[Pair]:
        """Return disjoint pairs, those first who met least often and then those with the nearest rates."""
        order = list(range(len(self.players)))
        self.rng.shuffle(order)
        place = {i: at for at, i in enumerate(sorted(order, key=self.rate, reverse=True))}
        close = [(i, j) for i, j in all_pairs(len(order)) if abs(place[i] - place[j]) <= window]
        self.rng.shuffle(close)
        close.sort(key=lambda pair: (self._met(pair), abs(self.rate(pair[0]) - self.rate(pair[1]))))
        return [self._turned(pair) for pair in _disjoint(close)]

    async def play(self, wave: Sequence[Pair], scope: Scope) -> int:
        """Ask one more vote on each pair as it stands; return how many were had."""
        self.shown.update(wave)
        groups = [[self.players[i] for i in pair] for pair in wave]
        asked = zip(wave, groups, strict=True)
        tallies = await gather(
            *(scope.compare([group], votes=self.shown[pair], ordered=True) for pair, group in asked)
        )
        return sum([self._tell(pair, tally) for pair, (tally,) in zip(wave, tallies, strict=True)])

    def _tell(self, pair: Pair, tally: Tally) -> bool:
        if len(tally.verdicts) < self.shown[pair]:
            return False
        winner, weight = outcome(tally.verdicts[-1])
        if winner is not None:
            for i in pair:
                self.weighed[i] = self.weighed.get(i, 0.0) + weight
                self.won[i] = self.won.get(i, 0.0) + weight * (self.players[i].key == winner)
        return True

    def _met(self, pair: Pair) -> int:
        return self.shown[pair] + self.shown[pair[1], pair[0]]

    def _turned(self, pair: Pair) -> Pair:
        first = [sum(n for (i, _), n in self.shown.items() if i == one) for one in pair]
        return pair if first[0] <= first[1] else (pair[1], pair[0])


def outcome(verdict: Verdict) -> tuple[str | None, float]:
    """Return who of two won and what the verdict weighs, 0 to 1; None where it abstains."""
    if verdict.preferred is None or len(verdict.scores) != 2:
        return verdict.preferred, 1.0
    first, second = verdict.scores
    return verdict.shown[first < second], min(1.0, abs(first - second) / SCALE)


def _disjoint(pairs: Sequence[Pair]) -> Iterator[Pair]:
    taken: set[int] = set()
    for pair in pairs:
        if taken.isdisjoint(pair):
            taken.update(pair)
            yield pair
