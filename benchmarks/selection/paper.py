"""The four published columns of pass@1, reckoned from the paper's other tables (arXiv 2604.16529).

Mixed tasks, pass@16 and pass@1 give how many of a mixed task's attempts are right; the judge's accuracy by
round on mixed pairs gives the selection; the success by passing priors gives the second iteration, where it
is published; the pooled accuracy there gives the final.  None of it looks at what it is compared with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import betabinom

from benchmarks.selection.world import Bools, Floats, N

CONCENTRATION = 1.2
"""a + b of the beta-binomial of the right attempts, as in the frozen simulator."""
TASKS = 50_000


@dataclass(frozen=True, slots=True)
class Published:
    """One model on one benchmark; per cent and numbers of tasks.

    `columns` are pass@1: first attempts, the mean of the four selected, second iteration, final. `pass_at_16`
    and `mixed` are for both iterations, `judge` by round, `passes` by the number of passing priors.
    """

    n_tasks: int
    columns: tuple[float, float, float, float]
    pass_at_16: tuple[float, float]
    mixed: tuple[int, int]
    judge: tuple[float, float, float, float]
    judge_again: float
    passes: tuple[float, ...] = ()


SWE, TB = 500, 88
TABLES = {
    "Opus-4.5, SWE": Published(
        SWE, (70.94, 75.00, 76.04, 77.60), (85.4, 81.2), (218, 56), (69.1, 68.3, 60.6, 55.6), 58.2,
        (0.1, 33.4, 55.5, 85.4, 99.2),
    ),
    "Gemini-3.1-Pro, SWE": Published(
        SWE, (72.25, 75.30, 76.16, 76.60), (86.0, 82.0), (200, 59), (66.9, 64.5, 51.1, 65.1), 48.3,
        (0.6, 36.9, 38.4, 87.0, 99.8),
    ),
    "Sonnet-4.5, SWE": Published(
        SWE, (67.41, 72.60, 74.01, 75.60), (83.4, 79.2), (259, 71), (70.6, 66.2, 53.3, 55.6), 60.9
    ),
    "Gemini-3-Flash, SWE": Published(
        SWE, (70.79, 73.55, 74.28, 76.00), (84.0, 79.8), (251, 179), (66.3, 55.6, 53.3, 54.5), 62.1
    ),
    "Opus-4.5, TB": Published(
        TB, (46.95, 54.26, 52.49, 59.09), (70.5, 65.9), (36, 22), (81.4, 78.9, 67.9, 64.3), 77.2,
        (1.8, 31.2, 43.0, 78.5, 94.1),
    ),
    "Gemini-3.1-Pro, TB": Published(
        TB, (52.49, 59.66, 56.89, 64.77), (76.1, 72.7), (35, 23), (84.2, 81.4, 72.2, 62.5), 76.7,
        (3.8, 37.5, 45.8, 57.5, 93.1),
    ),
    "Sonnet-4.5, TB": Published(
        TB, (40.62, 50.85, 50.00, 56.82), (67.1, 62.5), (38, 19), (80.5, 87.0, 78.6, 62.5), 78.0
    ),
    "Gemini-3-Flash, TB": Published(
        TB, (37.93, 45.45, 43.68, 48.86), (60.2, 56.8), (37, 18), (85.1, 79.4, 80.0, 73.7), 75.8
    ),
}  # fmt: skip


def columns(table: Published, seed: int = 0) -> tuple[float | None, float | None, float | None, float | None]:
    """Return the four columns in per cent; None where the tables do not give them.

    The first is what went in. The third needs the success by passing priors.
    """
    rng = np.random.default_rng(seed)
    first, again = _split(table, 0), _split(table, 1)
    right = _mixed(first.rate, rng)
    four = _tournament(right, table.judge[:2], rng)
    selected = 100 * (first.all_right + first.share * float(four.mean()))
    third = None
    if table.passes:
        by_priors = np.array(table.passes)
        refined = first.all_right * by_priors[-1] + first.none_right * by_priors[0]
        third = refined + first.share * float(by_priors[four.sum(axis=1)].mean())
    last = _tournament(_mixed(again.rate, rng), (table.judge_again,) * 4, rng)
    return table.columns[0], selected, third, 100 * (again.all_right + again.share * float(last.mean()))


@dataclass(frozen=True, slots=True)
class Split:
    """Shares of tasks: mixed, all right, none right; and the rate of right attempts in mixed ones."""

    share: float
    all_right: float
    none_right: float
    rate: float


def _split(table: Published, iteration: int) -> Split:
    share = table.mixed[iteration] / table.n_tasks
    all_right = table.pass_at_16[iteration] / 100 - share
    rate = (table.columns[2 * iteration] / 100 - all_right) / share
    return Split(share, all_right, 1 - share - all_right, rate)


def _mixed(rate: float, rng: np.random.Generator) -> Bools:
    """Return mixed tasks (TASKS, N) with that mean share of right attempts.

    The beta-binomial is the frozen simulator's in concentration, or twice that and so on where so extreme a
    share cannot be had with it.
    """
    n_right = rng.choice(np.arange(1, N), size=TASKS, p=_law(rate, CONCENTRATION))
    return np.asarray(rng.random((TASKS, N)).argsort(axis=1).argsort(axis=1) < n_right[:, None])


def _law(rate: float, concentration: float) -> Floats:
    """Return the chances of 1 to N - 1 right attempts, their mean being `rate` times N."""
    numbers = np.arange(1, N)

    def law(mean: float) -> Floats:
        p = betabinom.pmf(numbers, N, concentration * mean, concentration * (1 - mean))
        return np.asarray(p / p.sum())

    def beyond(mean: float) -> float:
        return float(law(mean) @ numbers) / N - rate

    if beyond(1e-3) > 0 or beyond(1 - 1e-3) < 0:
        return _law(rate, 2 * concentration)
    return law(float(brentq(beyond, 1e-3, 1 - 1e-3)))


def _tournament(right: Bools, accuracy: tuple[float, ...], rng: np.random.Generator) -> Bools:
    """Return who is left after one round for each accuracy (per cent) on mixed pairs."""
    for percent in accuracy:
        one, two = right[:, 0::2], right[:, 1::2]
        sound = rng.random(one.shape) < percent / 100
        right = np.where(sound, one | two, one & two)
    return right


def report() -> str:
    """Return the published and the simulated columns with their differences, a line each."""
    lines = [
        f"{'simulated from the other tables':<22}  selected 4 (published, difference)  iteration 1  final"
    ]
    for name, table in TABLES.items():
        cells = [
            _cell(mine, theirs) for mine, theirs in zip(columns(table)[1:], table.columns[1:], strict=True)
        ]
        lines.append(f"{name:<22}  {'   '.join(cells)}")
    return "\n".join(lines)


def _cell(mine: float | None, theirs: float) -> str:
    return (
        f"   -   ({theirs:.2f})       "
        if mine is None
        else f"{mine:.2f} ({theirs:.2f}, {mine - theirs:+.2f})"
    )
