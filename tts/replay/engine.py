"""What a pipeline is expected to score: its stages run on every subset of recorded samples, or on many."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random
from statistics import fmean, variance

from tts.errors import Refused, UsageError
from tts.protocols import Stage
from tts.replay.scope import Deck, ReplayScope, Visit, Votes, rollouts_of
from tts.samples import Cost, Expectation, Samples, mean_cost, shown
from tts.types import Pool, Rollout, digest

MAX_SUBSETS = 2_000
"""Up to this many subsets are all visited; above it, random ones."""
MIN_PASSES = 4
"""In so many orders at least every subset is dealt before a value counts as exact."""
MIN_VISITS = 50
"""So many visits must agree before it is believed that the order of the samples does not matter."""


@dataclass(frozen=True, slots=True)
class Score:
    """What one visit came to: the credit of the winner, the cost, samples taken, whether lots were drawn."""

    credit: float
    cost: Cost
    asked: int
    drew: bool


class TaskReplay:
    """A strategy over one task's recorded samples."""

    def __init__(self, stage: Stage, samples: Samples, votes: Votes, *, name: str, seed: int) -> None:
        self._stage = stage
        self._samples = samples
        self._votes = votes
        self._name = name
        self._seed = seed
        self._rollouts = rollouts_of(samples)
        self._classes = {r.key: c for r, c in zip(self._rollouts, samples.classes, strict=True)}
        self._correct = {r.key: c for r, c in zip(self._rollouts, samples.correct, strict=True)}

    async def expectation(self, draws: int) -> Expectation:
        """Return the expectation over subsets of the size that the strategy takes.

        Exact where there are few subsets and, for none of them, another order or seed changed the credit.

        Raises:
            UsageError: there are too few samples, or something the strategy needs is not recorded.
        """
        k = (await self._visit(range(len(self._samples)), "size")).asked
        if k == 0:
            raise UsageError(f"{self._name} takes no samples; begin it with sample(k) or race(k=…, m=…)")
        if math.comb(len(self._samples), k) > MAX_SUBSETS:
            return await self._at_random(draws)
        return await self._everywhere(k, draws) or await self._at_random(draws)

    async def _everywhere(self, k: int, draws: int) -> Expectation | None:
        """Visit every subset in several orders; None when the strategy does not always take k."""
        passes = [await self._pass(k, number) for number in range(MIN_PASSES)]
        n_subsets = len(passes[0])
        while n_subsets * len(passes) < (draws if _by_chance(passes) else MIN_VISITS):
            passes.append(await self._pass(k, len(passes)))
        scores = [score for scores in passes for score in scores]
        if any(score.asked != k for score in scores):
            return None
        error = None
        if _differ(passes):
            spread = (variance(s.credit for s in visits) for visits in zip(*passes, strict=True))
            error = math.sqrt(math.fsum(spread) / len(passes)) / n_subsets
        return _expected(scores, error)

    async def _pass(self, k: int, number: int) -> list[Score]:
        return [await self._visit(order, str(number)) for order in self._orders(k, number)]

    def _orders(self, k: int, number: int) -> Iterator[list[int]]:
        """Every subset dealt first, in an order drawn for this pass."""
        rng = Random(digest([self._seed, self._samples.task_id, number]))
        everything = range(len(self._samples))
        for subset in combinations(everything, k):
            order = rng.sample(subset, k)
            rest = [i for i in everything if i not in subset]
            yield order + rest

    async def _at_random(self, draws: int) -> Expectation:
        rng = Random(digest([self._seed, self._samples.task_id]))
        n = len(self._samples)
        scores = [await self._visit(rng.sample(range(n), n), f"draw {i}") for i in range(draws)]
        return _expected(scores, math.sqrt(variance(s.credit for s in scores) / draws))

    async def _visit(self, order: Sequence[int], label: str) -> Score:
        visit = Visit()
        deck = Deck(self._samples, self._rollouts, order)
        scope = ReplayScope(deck, self._votes, f"{self._seed}, {label}", visit)
        try:
            pool = await self._stage(Pool(), scope)
        except Refused:
            pool = Pool()
        if visit.missing:
            raise UsageError(f"{self._name}, task {shown(self._samples.task_id)}: {visit.missing}")
        return Score(self._credit(pool), visit.cost, visit.asked, visit.drew)

    def _credit(self, pool: Pool) -> float:
        """The share of right samples among those of the pool whose output is the winner's."""
        winner = pool.winner
        if winner is None:
            return 0.0
        alike = [r for r in pool if self._same(r, winner)]
        return fmean(self._correct[r.key] for r in alike)

    def _same(self, rollout: Rollout, winner: Rollout) -> bool:
        known = self._classes[winner.key]
        return rollout.key == winner.key or (known is not None and self._classes[rollout.key] == known)


def _differ(passes: Sequence[Sequence[Score]]) -> bool:
    return any(len({s.credit for s in visits}) > 1 for visits in zip(*passes, strict=True))


def _by_chance(passes: Sequence[Sequence[Score]]) -> bool:
    return _differ(passes) or any(score.drew for scores in passes for score in scores)


def _expected(scores: Sequence[Score], error: float | None) -> Expectation:
    return Expectation(fmean(s.credit for s in scores), error, mean_cost([s.cost for s in scores]))
