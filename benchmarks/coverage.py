"""How often 95 % intervals hold the truth, over simulated experiments whose truth is known.

    python -m benchmarks.coverage [--quick] [--json]

Designs: 30, 100 and 500 tasks, true accuracy 0.5 and 0.95, one run of each task (0 or 1). Tasks differ in how
hard they are, which both strategies share (correlation 0.3 on the normal scale). Clustered: the 500 tasks of
SWE-bench Verified in its 12 repositories, with an intra-class correlation of 0.05 to 0.2 on that scale. False
claims: six strategies of one accuracy, all 15 pairs, Holm. Everything is simulated, by the package's own
functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from benchmarks.goals import Figure, report, started
from tts import stats

VERIFIED = (231, 75, 44, 34, 32, 22, 22, 19, 10, 8, 2, 1)
"""How many of SWE-bench Verified's 500 tasks each of its 12 repositories has."""
REPOSITORIES = [i for i, n in enumerate(VERIFIED) for _ in range(n)]
SHARED = 0.3
"""The part of the spread on the normal scale that strategies share."""
LESS = 0.05
"""How much less accurate the second strategy is, where they differ."""

Floats = NDArray[np.float64]
Interval = tuple[float, float] | None


def runs(
    rng: np.random.Generator, n: int, accuracies: Sequence[float], icc: float = 0.0
) -> list[list[float]]:
    """Return 0 or 1 for each strategy and task; `icc` is what tasks of a repository share, by strategy."""
    task = rng.standard_normal(n)
    found: list[list[float]] = []
    for accuracy in accuracies:
        own = rng.standard_normal(n)
        if icc:
            place = rng.standard_normal(len(VERIFIED))[REPOSITORIES]
            own = np.sqrt(icc) * place + np.sqrt(1 - icc) * own
        level = np.sqrt(SHARED) * task + np.sqrt(1 - SHARED) * own if len(accuracies) > 1 else own
        found.append((level < norm.ppf(accuracy)).astype(float).tolist())
    return found


def covered(times: int, interval: Callable[[np.random.Generator], Interval], truth: float) -> float:
    """Return the share of experiments whose interval holds the truth; one without an interval does."""
    held = 0
    for seed in range(times):
        found = interval(np.random.default_rng([7, seed]))
        held += found is None or found[0] <= truth <= found[1]
    return held / times


def singles(times: int) -> list[Figure]:
    """Return the coverage of a single strategy's interval."""
    figures: list[Figure] = []
    for n in (30, 100, 500):
        for p in (0.5, 0.95):
            share = covered(times, lambda rng, n=n, p=p: stats.accuracy(runs(rng, n, [p])[0]).ci95, p)
            figures.append(_near(f"single, {n} tasks, accuracy {p:g}", share))
    return figures


def pairs(times: int) -> list[Figure]:
    """Return the coverage of a paired difference's interval, where there is a difference and where not."""
    figures: list[Figure] = []
    for n in (30, 100, 500):
        for p in (0.5, 0.95):
            for less in (LESS, 0.0):
                asked = [p, p - less]

                def interval(rng: np.random.Generator, n: int = n, asked: list[float] = asked) -> Interval:
                    return stats.paired_difference(*runs(rng, n, asked)).ci95

                name = f"paired, {n} tasks, {p:g} less {p - less:g}"
                share = covered(times, interval, less)
                figures.append(_near(name, share) if less else _safe(name, share))
    return figures


def clustered(times: int) -> list[Figure]:
    """Return the coverage with SWE-bench Verified's repositories as clusters."""
    figures: list[Figure] = []
    for icc in (0.05, 0.1, 0.2):
        for p in (0.5, 0.95):

            def one(rng: np.random.Generator, p: float = p, icc: float = icc) -> Interval:
                return stats.accuracy(runs(rng, 500, [p], icc)[0], clusters=REPOSITORIES).ci95

            def two(rng: np.random.Generator, p: float = p, icc: float = icc) -> Interval:
                drawn = runs(rng, 500, [p, p - LESS], icc)
                return stats.paired_difference(*drawn, clusters=REPOSITORIES).ci95

            for kind, interval, truth in (("single", one, p), ("paired", two, LESS)):
                name = f"clustered {kind}, accuracy {p:g}, icc {icc:g}"
                share = covered(times, interval, truth)
                figures.append(Figure(name, share, 0.92, tolerance=_noise(times), kind="least"))
    return figures


def claims(times: int) -> list[Figure]:
    """Return how often anything is called better among six strategies that are equally good."""
    figures: list[Figure] = []
    for n, p, clusters in ((30, 0.5, None), (100, 0.95, None), (500, 0.5, None), (500, 0.5, REPOSITORIES)):
        false = 0
        for seed in range(times):
            drawn = runs(np.random.default_rng([8, seed]), n, [p] * 6, 0.1 if clusters else 0.0)
            found = (stats.paired_difference(a, b, clusters=clusters).p for a, b in combinations(drawn, 2))
            false += min(stats.holm([1.0 if x is None else x for x in found])) < 0.05
        name = f"false claims after Holm, {n} tasks, {p:g}{', clustered' if clusters else ''}"
        figures.append(Figure(name, false / times, 0.065, kind="most"))
    return figures


def _safe(name: str, share: float) -> Figure:
    """Where nothing differs few pairs tell anything, and no interval is exact: it may cover more."""
    return Figure(name, share, 0.93, kind="least")


def _near(name: str, share: float) -> Figure:
    return Figure(name, share, 0.95, tolerance=0.02)


def _noise(times: int) -> float:
    """Two standard errors of a coverage of 0.92 over so many experiments."""
    return float(2 * np.sqrt(0.92 * 0.08 / times))


def main(flags: Sequence[str]) -> int:
    """Print the coverage of every design; return 1 where one misses its goal."""
    times = 200 if "--quick" in flags else 2_000
    figures = [*singles(times), *pairs(times), *clustered(times), *claims(times)]
    if "--quick" in flags:  # too few experiments to hold anything to two points
        figures = [Figure(f.name, f.value, f.goal, tolerance=0.06, kind=f.kind) for f in figures]
    return report("coverage", figures, as_json="--json" in flags)


if __name__ == "__main__":
    started(main, __doc__)
