"""Pure statistics: expectations over subsets, standard errors over tasks, tests; each with its source."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from tts.clusters import ZERO, Spread, quantile, spread
from tts.errors import UsageError


@dataclass(frozen=True, slots=True)
class RaceCost:
    """What short-m@k is expected to take, in the unit of the lengths: `time` at once, `compute` in sum."""

    time: float
    compute: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over `n` tasks. `se` and `ci95` are None where a single task (or cluster) shows no spread."""

    value: float
    se: float | None
    ci95: tuple[float, float] | None
    n: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean paired difference over `n` tasks; `p` is two-sided. None where there is one cluster only."""

    value: float
    se: float | None
    ci95: tuple[float, float] | None
    p: float | None
    n: int


def pass_at_k(n: int, c: int, k: int) -> float:
    """Return the share of k-subsets of n samples, c of them right, that hold a right one.

    1 - C(n-c, k) / C(n, k): Chen et al. 2021, arXiv 2107.03374.  In whole numbers, so nothing cancels.

    Raises:
        UsageError: k is not in 1..n, or c not in 0..n.
    """
    _check_counts(n, c, k)
    return (math.comb(n, k) - math.comb(n - c, k)) / math.comb(n, k)


def solve_probability(n: Sequence[int], c: Sequence[int], k: Sequence[int]) -> float:
    """Return the chance that k[j] of each agent j's n[j] samples, c[j] of them right, hold a right one.

    1 - prod_j C(n_j - c_j, k_j) / C(n_j, k_j), unbiased: arXiv 2605.28751. With one agent it is pass@k; an
    agent may have no share, k_j = 0.

    Raises:
        UsageError: a k is not in 0..n, a c not in 0..n, or the lists are not of one length.
    """
    if not len(n) == len(c) == len(k):
        raise UsageError(f"n, c and k name the same agents, not {len(n)}, {len(c)} and {len(k)}")
    none = 1.0
    for n_j, c_j, k_j in zip(n, c, k, strict=True):
        _check_counts(n_j, c_j, max(1, k_j))
        none *= math.comb(n_j - c_j, k_j) / math.comb(n_j, k_j)
    return 1.0 - none


def pass_hat_k(n: int, c: int, k: int) -> float:
    """Return the share of k-subsets of n samples, c of them right, that are right throughout.

    C(c, k) / C(n, k): Yao et al. 2024 (tau-bench), arXiv 2406.12045.

    Raises:
        UsageError: k is not in 1..n, or c not in 0..n.
    """
    _check_counts(n, c, k)
    return math.comb(c, k) / math.comb(n, k)


def best_at_k(values: Sequence[float], k: int) -> float:
    """Return the expected value of the best-ranked sample of a random k-subset; `values` are best first.

    sum over i = 1..n-k+1 of C(n-i, k-1) * x_i / C(n, k).  Valid where the ranking of two samples does not
    depend on the rest of the pool.  Of 0/1 values sorted downwards it is pass@k.

    Raises:
        UsageError: k is not in 1..n.
    """
    n = len(values)
    _check_subset(n, k)
    weight, terms = k / n, list[float]()
    for i, value in enumerate(values[: n - k + 1], start=1):
        terms.append(weight * value)
        weight *= (n - i - k + 1) / max(n - i, 1)
    return math.fsum(terms)


def short_m_weights(n: int, k: int, m: int) -> list[float]:
    """Return, for each of n samples by growing length, the chance that it is the m-th shortest of k drawn.

    w_i = C(i-1, m-1) * C(n-i, k-m) / C(n, k), i from 1: of the k drawn, m - 1 are shorter and k - m longer.

    Raises:
        UsageError: not 1 <= m <= k <= n.
    """
    _check_subset(n, k)
    if not 1 <= m <= k:
        raise UsageError(f"short-m@k needs 1 <= m <= k, not m={m} and k={k}")
    whole = math.comb(n, k)
    return [math.comb(i - 1, m - 1) * math.comb(n - i, k - m) / whole for i in range(1, n + 1)]


def short_m_at_k_cost(lengths: Sequence[float], k: int, m: int) -> RaceCost:
    """Return the exact expected time and compute of short-m@k (arXiv 2505.17813) over k-subsets.

    With lengths ascending: E[time] = sum w_i L_i and
    E[compute] = sum w_i [(m-1) mean(L_1..L_{i-1}) + (k-m+1) L_i], w_i as in `short_m_weights`.

    Raises:
        UsageError: not 1 <= m <= k <= the number of lengths.
    """
    weights = short_m_weights(len(lengths), k, m)
    time, compute, below = list[float](), list[float](), 0.0
    for i, (weight, length) in enumerate(zip(weights, sorted(lengths), strict=True)):
        shorter = below / i if i else 0.0
        time.append(weight * length)
        compute.append(weight * ((m - 1) * shorter + (k - m + 1) * length))
        below += length
    return RaceCost(math.fsum(time), math.fsum(compute))


def mean(values: Sequence[float], *, clusters: Sequence[Hashable] | None = None) -> Estimate:
    """Return the mean, its standard error and Student-t 95 % interval; the unit is the task or its cluster.

    Errors and degrees of freedom as in `tts.clusters`; without clusters sd / sqrt(n) and n - 1. Where all
    values are the same there is no interval, unless all are 0 or 1: then it is that of `accuracy`.

    Raises:
        UsageError: there are no values, one is not finite, or there are not as many clusters as values.
    """
    found = spread(values, clusters)
    if found.se == 0.0 and all(v in (0, 1) for v in values):
        return accuracy(values, clusters=clusters)
    return Estimate(found.centre, found.se, around(found.centre, found.reach), len(values))


def accuracy(values: Sequence[float], *, clusters: Sequence[Hashable] | None = None) -> Estimate:
    """Return the mean of values in [0, 1] with an interval that stays there and covers near 0 and 1 as well.

    For 0 and 1 without clusters it is Wilson's. Else it is his score interval for as many trials as would
    have this standard error, p (1-p) / se^2, with Student's t in place of the normal, as surveys do it (Dean
    and Pagano 2015). All 0 or all 1 counts each cluster as one trial; where all values are another same
    number there is no interval.

    Raises:
        UsageError: as `mean`; also where a value is not in [0, 1].
    """
    if any(not 0 <= v <= 1 for v in values):
        raise UsageError("an accuracy is a mean of values between 0 and 1")
    found = spread(values, clusters)
    p, binary, interval = found.centre, all(v in (0, 1) for v in values), None
    if binary and (found.n_clusters == len(values) > 1 or found.se == 0.0):
        interval = wilson(round(p * found.n_clusters), found.n_clusters)
    elif found.corrected:
        interval = score_interval(p, p * (1 - p) / found.corrected**2, quantile(found.df or 1.0))
    return Estimate(p, found.se, interval, len(values))


def score_interval(p: float, n: float, z: float) -> tuple[float, float]:
    """Return the p' with |p - p'| <= z sqrt(p' (1-p') / n): Wilson 1927; n may be a real number."""
    centre, shrink = p + z * z / (2 * n), 1 + z * z / n
    reach = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (centre - reach) / shrink), min(1.0, (centre + reach) / shrink)


def paired_difference(
    a: Sequence[float], b: Sequence[float], *, clusters: Sequence[Hashable] | None = None
) -> Difference:
    """Return the mean of a_i - b_i over tasks, with (clustered) SE, 95 % interval and two-sided t test.

    SE and degrees of freedom as in `mean` on d_i = a_i - b_i. Where all values are 0 or 1 and tasks stand
    alone, the interval is the score interval of `tango`, since Student's is too short near 0 and 1. Where
    every difference is the same, t has no size: p is 1 when that difference is 0, and else that of the
    exact sign-flip test, 2^(1-C), for C clusters.

    Raises:
        UsageError: the two differ in length, are empty, or hold a value that is not finite.
    """
    if len(a) != len(b):
        raise UsageError(f"a paired difference needs as many values on both sides, not {len(a)} and {len(b)}")
    found = spread([x - y for x, y in zip(a, b, strict=True)], clusters)
    interval = around(found.centre, found.reach)
    if found.n_clusters == len(a) > 1 and all(v in (0, 1) for v in (*a, *b)):
        only_a = sum(x > y for x, y in zip(a, b, strict=True))
        interval = tango(only_a, sum(x < y for x, y in zip(a, b, strict=True)), len(a))
    return Difference(found.centre, found.se, interval, _t_test(found), len(a))


def tango(only_a: int, only_b: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the score interval of a difference of paired rates (Tango 1998, Statistics in Medicine 17).

    `only_a` of n pairs are right on one side only, `only_b` on the other: the differences d whose
    statistic (only_a - only_b - n d) / sqrt(n (2 q + d (1 - d))) is within the normal's quantile, with q the
    likeliest share of `only_b` given d.

    Raises:
        UsageError: the counts are negative or more than n.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtri

    if min(only_a, only_b) < 0 or only_a + only_b > n or n < 1:
        raise UsageError(f"paired rates need counts within n, not {only_a} and {only_b} of {n}")
    z = float(ndtri(0.5 + confidence / 2))

    def beyond(d: float) -> float:
        linear = (2 * n - only_a + only_b) * d - only_a - only_b
        root = math.sqrt(max(0.0, linear**2 + 8 * n * only_b * d * (1 - d)))
        q = max(0.0, (root - linear) / (4 * n))
        return (only_a - only_b - n * d) / math.sqrt(max(n * (2 * q + d * (1 - d)), 1e-300))

    edge, seen = 1 - 1e-12, (only_a - only_b) / n
    low = -1.0 if beyond(-edge) <= z else brentq(lambda d: beyond(d) - z, -edge, min(seen, edge))
    high = 1.0 if beyond(edge) >= -z else brentq(lambda d: beyond(d) + z, max(seen, -edge), edge)
    return float(low), float(high)


def around(centre: float, reach: float | None) -> tuple[float, float] | None:
    """Return the interval of this half width, None for none."""
    return None if reach is None else (centre - reach, centre + reach)


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the exact two-sided p of McNemar's test, given the tasks that only a, and only b, got right.

    The binomial test of one half on the discordant pairs (McNemar 1947); 1 when there are none.
    """
    from scipy.stats import binomtest

    if min(only_a, only_b) < 0:
        raise UsageError(f"McNemar's test needs counts of zero or more, not {only_a} and {only_b}")
    n = only_a + only_b
    return float(binomtest(only_a, n, 0.5).pvalue) if n else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p values adjusted for their number, in the order given (Holm 1979, step-down)."""
    adjusted, floor = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = floor
    return adjusted


def wilson(successes: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the score interval of a single rate (Wilson 1927)."""
    from scipy.stats import binomtest

    if not 0 <= successes <= n or n < 1:
        raise UsageError(f"a rate needs 0 <= successes <= n and n >= 1, not {successes} of {n}")
    interval = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def recovered_share(selected: float, single: float, oracle: float) -> float | None:
    """Return (selected - pass@1) / (pass@k - pass@1): the part of the oracle's gain that a selector keeps.

    None where the oracle gains nothing.  Below 0 the selector is worse than chance.
    """
    gap = oracle - single
    return None if abs(gap) < ZERO else (selected - single) / gap


def power_n(variance: float, delta: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Return how many tasks a paired comparison needs to see a difference `delta`.

    n = (z_{alpha/2} + z_{power})^2 var(d) / delta^2, rounded up, two at least; `variance` is that of the
    per-task differences.

    Raises:
        UsageError: delta is 0, the variance negative, or alpha or power not in (0, 1).
    """
    from scipy.special import ndtri

    if delta == 0 or variance < 0 or not (0 < alpha < 1 and 0 < power < 1):
        raise UsageError("power needs delta other than 0, variance >= 0, and alpha and power between 0 and 1")
    z = float(ndtri(1 - alpha / 2) + ndtri(power))
    return max(2, math.ceil(z * z * variance / delta**2))


def _check_subset(n: int, k: int) -> None:
    if not 1 <= k <= n:
        raise UsageError(f"a subset of {n} samples needs a size k between 1 and {n}, not k={k}")


def _check_counts(n: int, c: int, k: int) -> None:
    _check_subset(n, k)
    if not 0 <= c <= n:
        raise UsageError(f"of {n} samples between 0 and {n} can be right, not {c}")


def _t_test(found: Spread) -> float | None:
    if found.corrected is None or found.df is None:
        return None
    if found.corrected == 0.0:
        return 1.0 if abs(found.centre) < ZERO else 2.0 ** (1 - found.n_clusters)
    from scipy.special import stdtr

    return float(2 * stdtr(found.df, -abs(found.centre) / found.corrected))
