"""The spread of a mean whose values come in clusters, for few and unequal clusters too.

The standard error that is told is the usual cluster-robust one (Miller 2024, arXiv 2411.00640),

    se = 1/N sqrt(sum_g S_g^2) sqrt(C / (C - 1)),

for C clusters of sizes n_g among N values, with residual sums S_g.  With few clusters of unequal sizes it is
too small.  Intervals and tests go by CR2 (Bell and McCaffrey 2002) and Satterthwaite's degrees of freedom for
it, which have a closed form for a model with a mean only:

    V = 1/N^2 sum_g S_g^2 / (1 - n_g/N),    df = (sum_g P_gg)^2 / sum_gh P_gh^2,
    P_gg = n_g / N^2,    P_gh = - w_g w_h n_g n_h / N,    w_g = (1 - n_g/N)^(-1/2) / N.

With clusters of one size both are the same, with C - 1 degrees of freedom; with one value each, sd / sqrt(n).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from tts.errors import UsageError

ZERO = 1e-12
"""A spread below this is rounding."""

FEW = 30.0
"""Below so many effective clusters an interval is to be read with care."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A mean and how sure it is.

    `se` is the standard error as published, `corrected` the one for intervals and tests, with `df` (a real
    number) degrees of freedom; all None where there is one cluster only. `effective` is how many clusters of
    one size would tell as much as these, N^2 / sum n_g^2.
    """

    centre: float
    se: float | None
    corrected: float | None
    df: float | None
    n_clusters: int
    effective: float

    @property
    def reach(self) -> float | None:
        """Half of the Student-t 95 % interval; None without a spread."""
        if not self.corrected or self.df is None:
            return None
        return quantile(self.df) * self.corrected


def quantile(df: float) -> float:
    """Return the upper 2.5 % point of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(df, 0.975))


def spread(values: Sequence[float], clusters: Sequence[Hashable] | None = None) -> Spread:
    """Return the spread of the mean; without clusters each value is its own.

    Raises:
        UsageError: there are no values, one is not finite, or there are not as many clusters as values.
    """
    if not values:
        raise UsageError("a mean needs at least one value")
    if not all(map(math.isfinite, values)):
        raise UsageError("a mean needs finite values")
    centre = math.fsum(values) / len(values)
    sums, sizes = _sums([v - centre for v in values], clusters)
    n = len(values)
    effective = n * n / math.fsum(size * size for size in sizes)
    if len(sums) < 2:
        return Spread(centre, None, None, None, len(sums), effective)
    plain = math.fsum(s * s for s in sums) * len(sums) / (len(sums) - 1)
    small = math.fsum(s * s / (1 - size / n) for s, size in zip(sums, sizes, strict=True))
    se, corrected = (0.0 if x < ZERO else x for x in (math.sqrt(plain) / n, math.sqrt(small) / n))
    return Spread(centre, se, corrected, _df(sizes), len(sums), effective)


def _df(sizes: Sequence[int]) -> float:
    """Return Satterthwaite's degrees of freedom; sum_gh over unlike clusters by sums, not by pairs."""
    n = sum(sizes)
    if len(set(sizes)) == 1:
        return float(len(sizes) - 1)
    own = [size / n**2 for size in sizes]
    off = [size * size / (1 - size / n) / n**2 for size in sizes]  # (w_g n_g)^2
    squares = math.fsum(p * p for p in own) + (math.fsum(off) ** 2 - math.fsum(x * x for x in off)) / n**2
    return math.fsum(own) ** 2 / squares


def _sums(residuals: Sequence[float], clusters: Sequence[Hashable] | None) -> tuple[list[float], list[int]]:
    """Return the sum of residuals and the size of each cluster."""
    if clusters is None:
        return list(residuals), [1] * len(residuals)
    if len(clusters) != len(residuals):
        raise UsageError(f"{len(residuals)} values need as many clusters, not {len(clusters)}")
    members: dict[Hashable, list[float]] = {}
    for cluster, residual in zip(clusters, residuals, strict=True):
        members.setdefault(cluster, []).append(residual)
    return [math.fsum(m) for m in members.values()], [len(m) for m in members.values()]
