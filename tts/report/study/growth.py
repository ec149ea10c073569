"""Accuracy against the number of attempts: what could be chosen, and what a vote chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tts import stats
from tts.errors import UsageError
from tts.registry import estimator
from tts.samples import Estimator, Samples

FORMS = ("pass@{k}", "vote@{k}", "best@{k}", "short-3@{k}")
"""What is drawn, where the samples have what it needs."""

DRAWS = 2_000


@dataclass(frozen=True, slots=True)
class Step:
    """Accuracy with k attempts, in [0, 1], over the tasks that have as many."""

    k: int
    accuracy: float
    ci95: tuple[float, float] | None
    n_tasks: int


@dataclass(frozen=True, slots=True)
class Curve:
    """One estimator against k; an `oracle` uses the truth."""

    form: str
    oracle: bool
    steps: tuple[Step, ...]


def growth(tasks: Sequence[Samples]) -> list[Curve]:
    """Return the curves over k = 1, 2, 4 and so on, up to what every task has; empty without grades."""
    n = min((len(task) for task in tasks), default=0)
    sizes = sorted({*(2**i for i in range(20) if 2**i <= n), n}) if n else []
    curves = [_curve(form, tasks, sizes) for form in FORMS]
    return [curve for curve in curves if len(curve.steps) > 1]


def _curve(form: str, tasks: Sequence[Samples], sizes: Sequence[int]) -> Curve:
    steps: list[Step] = []
    oracle = False
    for k in sizes:
        try:
            found: Estimator = estimator(form.format(k=k))
            values = [found(task, draws=DRAWS, seed=0).value for task in tasks]
        except UsageError:  # the samples lack what it goes by, or k is too small for it
            continue
        oracle = found.oracle
        mean = stats.accuracy(values, clusters=[task.group or task.task_id for task in tasks])
        steps.append(Step(k, mean.value, mean.ci95, mean.n))
    return Curve(form, oracle, tuple(steps))
