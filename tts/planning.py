"""Which strategy and size to buy for a sum, from a pilot pool, checked on the half that was held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from tts.comparison import Comparison, Measured, Result, compare
from tts.errors import UsageError
from tts.registry import estimator
from tts.samples import Estimator, Expectation, Samples

FORMS = ("vote@{k}", "short-3@{k}", "best@{k}")
"""What can be bought: strategies that need nothing but attempts; `vote@1` is a single one."""
DRAWS = 2_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What to buy.

    `comparison` has every strategy that fits the sum, over all tasks of the pool; `chosen` names the best by
    expected accuracy, of equals the cheapest. `held_out` is what the choice of one half of the tasks scored
    on the other half, and `promised` what it had scored on the half that it was chosen on.
    """

    comparison: Comparison
    chosen: str
    usd_per_task: float
    promised: Result
    held_out: Result

    @property
    def result(self) -> Result:
        """The line of what is chosen."""
        return self.comparison[self.chosen]


def plan(tasks: Sequence[Samples], *, max_usd: float, n_tasks: int, seed: int = 0) -> Plan:
    """Return what to buy for `n_tasks` tasks like those of the pool, for at most `max_usd` dollars.

    Raises:
        UsageError: the pool has fewer than four tasks, grades or prices are missing, or nothing fits.
    """
    if len(tasks) < 4:
        raise UsageError(f"a plan needs a pool of four tasks or more, not {len(tasks)}")
    most = max_usd / n_tasks
    found = _measured(tasks)
    whole = _fitting(found, tasks, most)
    halves = _halves(tasks, seed)
    chosen_on, checked_on = (_fitting(found, half, most) for half in halves)
    first = best(chosen_on)
    if first not in {r.name for r in checked_on.strategies}:
        checked_on = compare([m for m in found if m.name == first], _clusters(halves[1]))
    return Plan(whole, best(whole), most, chosen_on[first], checked_on[first])


def best(comparison: Comparison) -> str:
    """Return the strategy of the highest accuracy, of equals the cheapest."""
    return max(comparison.strategies, key=lambda r: (r.accuracy or 0.0, -(r.cost.usd or 0.0))).name


def _measured(tasks: Sequence[Samples]) -> list[Measured]:
    n = min(len(task) for task in tasks)
    sizes = sorted({*(2**i for i in range(20) if 2**i <= n), *(k for k in (3, 5, 6, 12, 24) if k <= n), n})
    made = (_one(form.format(k=k), tasks) for k in sizes for form in FORMS)
    found = [one for one in made if one is not None]
    if not found:
        raise UsageError("the pool has no grades (`correct`), so nothing can be planned from it")
    return found


def _one(name: str, tasks: Sequence[Samples]) -> Measured | None:
    try:
        estimating: Estimator = estimator(name)
        values: list[Expectation] = [estimating(task, draws=DRAWS, seed=0) for task in tasks]
    except UsageError:  # the samples lack what it goes by, or k is too small for it
        return None
    ids = [task.task_id for task in tasks]
    return Measured(
        name,
        dict(zip(ids, (v.value for v in values), strict=True)),
        dict(zip(ids, (v.cost for v in values), strict=True)),
    )


def _fitting(found: Sequence[Measured], tasks: Sequence[Samples], most: float) -> Comparison:
    """Return the comparison, over some tasks, of what costs at most so many dollars a task there."""
    ids = {task.task_id for task in tasks}
    part = [
        replace(
            m,
            values={t: v for t, v in m.values.items() if t in ids},
            costs={t: c for t, c in m.costs.items() if t in ids},
        )
        for m in found
    ]
    costs = {m.name: [cost.usd for cost in m.costs.values()] for m in part}
    if any(None in usd for usd in costs.values()):
        raise UsageError("the pool does not say what its samples cost: give each `cost_usd`")
    means = {name: sum(x or 0.0 for x in usd) / len(usd) for name, usd in costs.items()}
    fitting = [m for m in part if means[m.name] <= most + 1e-12]
    if not fitting:
        raise UsageError(
            f"nothing fits: the cheapest takes ${min(means.values()):.4f} a task, and there are ${most:.4f}"
        )
    return compare(fitting, _clusters(tasks))


def _clusters(tasks: Sequence[Samples]) -> dict[str, str]:
    return {task.task_id: task.group for task in tasks}


def _halves(tasks: Sequence[Samples], seed: int) -> tuple[list[Samples], list[Samples]]:
    order = sorted(tasks, key=lambda task: task.task_id)
    Random(seed).shuffle(order)
    return order[::2], order[1::2]
