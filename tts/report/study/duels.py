"""Pairs of strategies, task by task: who gains which tasks, and how unlikely that is by chance."""

from __future__ import annotations

from dataclasses import dataclass

from tts.comparison import Comparison, Paired
from tts.stats import mcnemar, power_n

VISIBLE = 0.05
"""The difference for which the number of tasks is told that would show it four times in five."""


@dataclass(frozen=True, slots=True)
class Duel:
    """Strategy `a` against strategy `b` on the tasks that both have.

    `gained` are the ids of the tasks on which a scores more, `lost` those on which it scores less. `mcnemar`
    is the exact p of that split, where every value is 0 or 1 (METHODS 8); `p`, `p_holm` are those of the
    comparison. `needed` tasks would show a difference of five points with a power of 0.8, None where the
    two never differ.
    """

    pair: Paired
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    mcnemar: float | None
    needed: int | None


def duels(comparison: Comparison) -> list[Duel]:
    """Return every pair of the comparison."""
    return [_duel(comparison, pair) for pair in comparison.comparisons]


def _duel(comparison: Comparison, pair: Paired) -> Duel:
    a, b = comparison[pair.a].values, comparison[pair.b].values
    both = [task for task in comparison.clusters if task in a and task in b]
    gained = tuple(task for task in both if a[task] > b[task])
    lost = tuple(task for task in both if a[task] < b[task])
    binary = all(x[task] in (0, 1) for x in (a, b) for task in both)
    p = mcnemar(len(gained), len(lost)) if binary and both else None
    return Duel(pair, gained, lost, p, _needed([a[task] - b[task] for task in both]))


def _needed(differences: list[float]) -> int | None:
    n = len(differences)
    if n < 2:
        return None
    mean = sum(differences) / n
    variance = sum((d - mean) ** 2 for d in differences) / (n - 1)
    return power_n(variance, VISIBLE) if variance > 0 else None
