"""Expected scores over k-subsets of recorded samples: closed forms, counting, else vectorized draws.

Sources: pass@k arXiv 2107.03374, pass^k arXiv 2406.12045, short-m@k arXiv 2505.17813; majority voting
(self-consistency) arXiv 2203.11171.  A vote's expectation is counted over all subsets by convolution, which
none of these does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import combinations, islice
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from tts.errors import UsageError
from tts.samples import ADDITIVE, Cost, Expectation, Samples, total_cost
from tts.stats import best_at_k, short_m_weights, solve_probability

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_SUBSETS = 100_000
"""Up to this many subsets are all looked at; above it, random ones."""
_CELLS = 1 << 21
"""Numbers held at a time while subsets are scored: it bounds the memory, not the result."""


@dataclass(frozen=True, slots=True)
class PassAtK:
    """pass@k: at least one of k is right. With grades between 0 and 1, the best grade of k."""

    k: int
    oracle: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_k(self.k, "pass@k")

    def __call__(self, samples: Samples, *, draws: int, seed: int) -> Expectation:
        """Return the exact expectation."""
        samples.need(self.k, f"pass@{self.k}")
        value = best_at_k(sorted(samples.correct, reverse=True), self.k)
        return Expectation(_unit(value), cost=cost_of(samples, self.k))


@dataclass(frozen=True, slots=True)
class MixAtK:
    """mix@k: at least one of k is right, the k divided evenly among the agents that made the samples.

    The first agents by name get what is left over. With grades between 0 and 1, the best grade of k.
    Source: arXiv 2605.28751; `tts.agents.several` makes such samples.
    """

    k: int
    oracle: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_k(self.k, "mix@k")

    def __call__(self, samples: Samples, *, draws: int, seed: int) -> Expectation:
        """Return the exact expectation."""
        parts = by_agent(samples)
        shares = [self.k // len(parts) + (i < self.k % len(parts)) for i in range(len(parts))]
        for part, share in zip(parts, shares, strict=True):
            part.need(share, f"mix@{self.k} of {len(parts)} agents")
        grades, sizes = [part.correct for part in parts], [len(part) for part in parts]
        value, below = 0.0, 0.0
        for level in sorted({grade for column in grades for grade in column if grade > 0}):
            right = [sum(grade >= level for grade in column) for column in grades]
            value += (level - below) * solve_probability(sizes, right, shares)
            below = level
        used = [(part, share) for part, share in zip(parts, shares, strict=True) if share]
        cost = total_cost([cost_of(part, share) for part, share in used])
        return Expectation(_unit(value), cost=replace(cost, critical_seconds=None))


def by_agent(samples: Samples) -> list[Samples]:
    """Return the samples of each agent, in the order of their names."""
    parts: list[Samples] = []
    for name in sorted({sample.agent for sample in samples.samples}):
        rows = [i for i, sample in enumerate(samples.samples) if sample.agent == name]
        own = tuple(samples.samples[i] for i in rows), tuple(samples.classes[i] for i in rows)
        parts.append(Samples(samples.task_id, *own, samples.group))
    return parts


@dataclass(frozen=True, slots=True)
class PassHatK:
    """pass^k: all of k are right. With grades between 0 and 1, the worst grade of k."""

    k: int
    oracle: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_k(self.k, "pass^k")

    def __call__(self, samples: Samples, *, draws: int, seed: int) -> Expectation:
        """Return the exact expectation."""
        samples.need(self.k, f"pass^{self.k}")
        return Expectation(_unit(best_at_k(sorted(samples.correct), self.k)), cost=cost_of(samples, self.k))


@dataclass(frozen=True, slots=True)
class BestAtK:
    """best@k: the one of k with the highest `score`; equal scores share the credit."""

    k: int
    oracle: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_k(self.k, "best@k")

    def __call__(self, samples: Samples, *, draws: int, seed: int) -> Expectation:
        """Return the exact expectation."""
        samples.need(self.k, f"best@{self.k}")
        scores, correct = np.array(samples.scores), np.array(samples.correct)
        levels, level = np.unique(-scores, return_inverse=True)
        shared = np.bincount(level, weights=correct) / np.bincount(level, minlength=len(levels))
        value = best_at_k([float(v) for v in shared[np.sort(level)]], self.k)
        return Expectation(_unit(value), cost=cost_of(samples, self.k))


@dataclass(frozen=True, slots=True)
class VoteAtK:
    """vote@k: the most frequent answer of k; ties share the credit, samples without an answer abstain."""

    k: int
    oracle: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_k(self.k, "vote@k")

    def __call__(self, samples: Samples, *, draws: int, seed: int) -> Expectation:
        """Return the exact expectation."""
        samples.need(self.k, f"vote@{self.k}")
        labels, correct = _labels(samples), np.array(samples.correct)
        voting = labels >= 0
        sizes = np.bincount(labels[voting])
        rates = np.bincount(labels[voting], weights=correct[voting]) / np.maximum(sizes, 1)
        value = vote_expectation(sizes.tolist(), rates.tolist(), n_abstain=int((~voting).sum()), k=self.k)
        return Expectation(_unit(value), cost=cost_of(samples, self.k))


@dataclass(frozen=True, slots=True)
class ShortMAtK:
    """short-m@k: a vote among the m shortest of k; a tie goes to the answer with the shortest sample.

    A sample without an answer counts among the m shortest and abstains. Equal lengths go by sample number.
    """

    m: int
    k: int
    oracle: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_k(self.k, "short-m@k")
        if not 1 <= self.m <= self.k:
            raise UsageError(f"short-m@k needs 1 <= m <= k, not m={self.m} and k={self.k}")

    def __call__(self, samples: Samples, *, draws: int, seed: int) -> Expectation:
        """Return the expectation, exact where there are at most `MAX_SUBSETS` sets of m to look at."""
        samples.need(self.k, f"short-{self.m}@{self.k}")
        n = len(samples)
        order = np.argsort(np.array(samples.lengths), kind="stable")
        labels, correct = _labels(samples)[order], np.array(samples.correct)[order]
        cost = race_cost(samples, self.k, self.m)
        if math.comb(n, self.m) <= MAX_SUBSETS:
            weights = np.array(_last_place_weights(n, self.k, self.m))
            chunks = _all_subsets(n, self.m)
            total = sum(float(weights[c[:, -1]] @ first_wins(labels[c], correct[c])) for c in chunks)
            return Expectation(_unit(total), cost=cost)
        rng = _generator(seed, samples.task_id)
        drawn = (np.sort(c, axis=1)[:, : self.m] for c in _random_subsets(n, self.k, draws, rng))
        credit = np.concatenate([first_wins(labels[c], correct[c]) for c in drawn])
        return Expectation(_unit(float(credit.mean())), float(credit.std(ddof=1) / math.sqrt(draws)), cost)


def vote_expectation(sizes: Sequence[int], rates: Sequence[float], *, n_abstain: int, k: int) -> float:
    """Return the exact expected credit of a majority vote of k, ties sharing it.

    `sizes` are the numbers of samples per answer, `rates` the share of each that is right. The k-subsets are
    counted by the winner's votes j and the number of answers t that reach j, as a product of polynomials, one
    per answer: each sample is in or out with one probability, and the total is then held to k.
    """
    n = sum(sizes) + n_abstain
    log_odds = math.log((k + 0.5) / (n - k + 0.5))
    top = min(k, max(sizes, default=0))
    total = math.fsum(_won_with(j, sizes, rates, n_abstain, k, log_odds) for j in range(1, top + 1))
    return total / float(_in_or_out(n, log_odds)[k])


def _won_with(
    j: int, sizes: Sequence[int], rates: Sequence[float], n_abstain: int, k: int, log_odds: float
) -> float:
    large = [(s, r) for s, r in zip(sizes, rates, strict=True) if s >= j]
    free = n_abstain + sum(s for s in sizes if s < j)
    # Axes: winner not yet named / named (weighted by its rate), answers at j, samples drawn.
    ways = np.zeros((2, k // j + 1, k + 1))
    start = _in_or_out(free, log_odds)[: k + 1]
    ways[0, 0, : len(start)] = start
    for size, rate in large:
        ways = _with_answer(ways, _in_or_out(size, log_odds), rate, j)
    ties = np.arange(1, ways.shape[1])
    return float((ways[1, 1:, k] / ties).sum())


def _with_answer(ways: Floats, chances: Floats, rate: float, j: int) -> Floats:
    after = np.zeros_like(ways)
    for votes, chance in enumerate(chances[:j]):
        after[:, :, votes:] += chance * ways[:, :, : ways.shape[2] - votes]
    at_j = chances[j] * ways[:, :-1, : ways.shape[2] - j]
    after[:, 1:, j:] += at_j
    after[1, 1:, j:] += rate * at_j[0]
    return after


def _in_or_out(size: int, log_odds: float) -> Floats:
    drawn = np.arange(size + 1)
    log_comb = gammaln(size + 1) - gammaln(drawn + 1) - gammaln(size - drawn + 1)
    log_none = -size * np.logaddexp(0.0, log_odds)
    return np.asarray(np.exp(log_comb + drawn * log_odds + log_none), dtype=np.float64)


def first_wins(labels: Ints, correct: Floats) -> Floats:
    """Return the credit of each vote; a tie goes to the answer that stands first in its row.

    `labels` and `correct` have shape (votes, m), shortest first; label -1 abstains. Credit is the share of
    the winning answer's samples that are right, 0 where all abstain.
    """
    n_votes, m = labels.shape
    counts, right = np.zeros((n_votes, m)), np.zeros((n_votes, m))
    for place in range(m):
        same = (labels == labels[:, place : place + 1]) & (labels >= 0)
        counts[:, place] = same.sum(axis=1)
        right[:, place] = (same * correct).sum(axis=1)
    winner = counts.argmax(axis=1)[:, None]
    won = np.take_along_axis(counts, winner, axis=1)[:, 0]
    return np.asarray(np.take_along_axis(right, winner, axis=1)[:, 0] / np.maximum(won, 1.0))


def cost_of(samples: Samples, k: int) -> Cost:
    """Return the expected cost of k samples taken at once; a part that some sample lacks is unknown."""
    parts = {name: _scaled(samples.column(name), k / len(samples)) for name in ADDITIVE}
    seconds = samples.column("seconds")
    slowest = best_at_k(sorted(seconds, reverse=True), k) if seconds else None
    return Cost(**parts, critical_seconds=slowest)


def race_cost(samples: Samples, k: int, m: int) -> Cost:
    """Return the expected cost of short-m@k: samples longer than the m-th shortest pay their share up to it.

    The race halts when its m-th shortest sample ends. A cut sample still counts as a call.
    """
    lengths = np.array(samples.lengths)
    order = np.argsort(lengths, kind="stable")
    weights = np.array(short_m_weights(len(samples), k, m))
    parts = {name: _raced(samples.column(name), lengths, order, weights, k, m) for name in ADDITIVE[1:]}
    seconds = samples.column("seconds")
    halt = float(weights @ np.array(seconds)[order]) if seconds else None
    return Cost(calls=_scaled(samples.column("calls"), k / len(samples)), **parts, critical_seconds=halt)


def _raced(
    column: list[float] | None, lengths: Floats, order: Ints, weights: Floats, k: int, m: int
) -> float | None:
    if column is None:
        return None
    spent, reached = np.array(column)[order], lengths[order]
    n, total = len(spent), 0.0
    for i in np.flatnonzero(weights):
        cut = spent[i + 1 :] * np.divide(
            reached[i], reached[i + 1 :], out=np.ones(n - i - 1), where=reached[i + 1 :] > 0
        )
        below, above = spent[:i].sum() / max(i, 1), cut.sum() / max(n - i - 1, 1)
        total += weights[i] * ((m - 1) * below + spent[i] + (k - m) * above)
    return float(total)


def _scaled(column: list[float] | None, factor: float) -> float | None:
    return None if column is None else math.fsum(column) * factor


def _last_place_weights(n: int, k: int, m: int) -> list[float]:
    """Chance of one m-set, by its longest sample's place, to be the m shortest of k."""
    return [math.comb(n - 1 - last, k - m) / math.comb(n, k) for last in range(n)]


def _all_subsets(n: int, m: int) -> Iterator[Ints]:
    subsets = combinations(range(n), m)
    while chunk := list(islice(subsets, max(1, _CELLS // (m * m)))):
        yield np.array(chunk, dtype=np.int64)


def _random_subsets(n: int, k: int, draws: int, rng: np.random.Generator) -> Iterator[Ints]:
    rows = max(1, _CELLS // n)
    for done in range(0, draws, rows):
        keys = rng.random((min(rows, draws - done), n))
        yield np.argpartition(keys, k - 1, axis=1)[:, :k]


def _generator(seed: int, task_id: str) -> np.random.Generator:
    word = sha256(f"{seed}/{task_id}".encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng(list(word))


def _labels(samples: Samples) -> Ints:
    labels = np.array([-1 if c is None else c for c in samples.classes], dtype=np.int64)
    if (labels < 0).all() and any(samples.correct):
        raise UsageError(f"task {samples.task_id!r} has right samples but no `answer` or `patch` to vote on")
    return labels


def _unit(value: Any) -> float:
    """Rounding can step out of [0, 1] by a hair."""
    return min(1.0, max(0.0, float(value)))


def _check_k(k: int, name: str) -> None:
    if k < 1:
        raise UsageError(f"{name} needs k of 1 or more, not {k}")
