"""Per-task values of several strategies in, accuracies and paired differences with their errors out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

from tts import stats
from tts.errors import UsageError
from tts.samples import Cost, mean_cost


@dataclass(frozen=True, slots=True)
class Measured:
    """What a strategy scored, task by task.

    `values` are in [0, 1], by task id; tasks without a result are left out. `costs` are per task; tasks
    without a known cost may be left out, and then the cost of the strategy is unknown. `mc_se` are Monte
    Carlo standard errors of the values that are not exact. `oracle`: it used the truth to choose.
    """

    name: str
    values: Mapping[str, float]
    costs: Mapping[str, Cost] = field(default_factory=dict[str, Cost])
    oracle: bool = False
    mc_se: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Result:
    """A strategy's line of the table.

    `accuracy` is the mean over tasks, in [0, 1]; None without tasks. `se` and `ci95` come from the spread
    over tasks, clustered; None where there is one cluster. `mc_se` is the part of the error that more draws
    would remove, None when `exact`. `costs` are by task, each counted as if the strategy ran alone, and
    `cost` is their mean.
    """

    name: str
    n_tasks: int
    accuracy: float | None
    se: float | None
    ci95: tuple[float, float] | None
    oracle: bool
    mc_se: float | None
    values: Mapping[str, float]
    cost: Cost
    costs: Mapping[str, Cost] = field(default_factory=dict[str, Cost])

    @property
    def exact(self) -> bool:
        """Whether every value is an exact expectation (or, in a run, a plain result)."""
        return self.mc_se is None


@dataclass(frozen=True, slots=True)
class Paired:
    """Strategy `a` less strategy `b`, over the tasks that both have.

    `p_holm` is adjusted for the number of comparisons; those with an oracle in them are counted apart, so
    that asking for an oracle never weakens a comparison of strategies that could be used. None: fewer than
    two clusters in common.
    """

    a: str
    b: str
    difference: float | None
    se: float | None
    ci95: tuple[float, float] | None
    p: float | None
    p_holm: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Strategies over the same tasks. `clusters` gives every task id its group, in the order of the tasks."""

    strategies: tuple[Result, ...]
    comparisons: tuple[Paired, ...]
    clusters: Mapping[str, str]

    def __getitem__(self, name: str) -> Result:
        return {r.name: r for r in self.strategies}[name]

    def recovered(self, name: str, *, single: str, oracle: str) -> float | None:
        """Return the share of the oracle's gain over `single` that a strategy keeps; None: no gain."""
        selected, base, best = (self[n].accuracy for n in (name, single, oracle))
        if selected is None or base is None or best is None:
            return None
        return stats.recovered_share(selected, base, best)

    def to_json(self) -> dict[str, Any]:
        """Return the document "Results as JSON": plain values, fractions in [0, 1], null where unknown.

        A strategy whose figure is not exact has `mc_se` beside its keys. Each task has its id, its group
        (null without one) and the strategies' values.
        """
        return {
            "strategies": [_strategy_json(r) for r in self.strategies],
            "comparisons": [_plain(asdict(p)) for p in self.comparisons],
            "tasks": [self._task_json(t) for t in self.clusters],
        }

    def _task_json(self, task_id: str) -> dict[str, Any]:
        values = {r.name: r.values[task_id] for r in self.strategies if task_id in r.values}
        return {"task_id": task_id, "group": self.clusters[task_id] or None, "values": values}


def compare(measured: Sequence[Measured], clusters: Mapping[str, str]) -> Comparison:
    """Return the comparison of all strategies and of every pair, in the order given.

    `clusters` gives every task id its group, such as a repository; empty where the task stands alone.

    Raises:
        UsageError: two strategies have one name, a value is not in [0, 1] or its task not in `clusters`.
    """
    for m in measured:
        _check(m, clusters)
    check_names([m.name for m in measured])
    pairs = tuple(combinations(measured, 2))
    differences = [_difference(a, b, clusters) for a, b in pairs]
    adjusted = _holm_by_family(
        [d.p if d else None for d in differences], [a.oracle or b.oracle for a, b in pairs]
    )
    compared = (_paired(a, b, d, p) for (a, b), d, p in zip(pairs, differences, adjusted, strict=True))
    return Comparison(tuple(_result(m, clusters) for m in measured), tuple(compared), dict(clusters))


def check_names(names: Sequence[str]) -> None:
    """Check that no strategy is named twice; worth doing before the work as well.

    Raises:
        UsageError: one is.
    """
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise UsageError(f"strategy {twice!r} is named twice; name each strategy once")


def _check(measured: Measured, clusters: Mapping[str, str]) -> None:
    for task_id, value in measured.values.items():
        if task_id not in clusters:
            raise UsageError(f"strategy {measured.name!r} has a value for an unlisted task {task_id!r}")
        if not 0 <= value <= 1:
            raise UsageError(f"strategy {measured.name!r}, task {task_id!r}: {value!r} is not in [0, 1]")


def _units(task_ids: Sequence[str], clusters: Mapping[str, str]) -> list[tuple[str, str]]:
    return [("group", clusters[t]) if clusters[t] else ("task", t) for t in task_ids]


def _result(m: Measured, clusters: Mapping[str, str]) -> Result:
    tasks = [t for t in clusters if t in m.values]
    values = {t: m.values[t] for t in tasks}
    mean = stats.accuracy(list(values.values()), clusters=_units(tasks, clusters)) if tasks else None
    known = all(t in m.costs for t in tasks)
    return Result(
        name=m.name,
        n_tasks=len(tasks),
        accuracy=mean.value if mean else None,
        se=mean.se if mean else None,
        ci95=mean.ci95 if mean else None,
        oracle=m.oracle,
        mc_se=math.hypot(*m.mc_se.values()) / len(tasks) if m.mc_se else None,
        values=values,
        cost=mean_cost([m.costs[t] for t in tasks] if known else []),
        costs={t: m.costs[t] for t in tasks if t in m.costs},
    )


def _difference(a: Measured, b: Measured, clusters: Mapping[str, str]) -> stats.Difference | None:
    tasks = [t for t in clusters if t in a.values and t in b.values]
    if not tasks:
        return None
    left, right = [a.values[t] for t in tasks], [b.values[t] for t in tasks]
    return stats.paired_difference(left, right, clusters=_units(tasks, clusters))


def _holm_by_family(p_values: Sequence[float | None], families: Sequence[bool]) -> list[float | None]:
    adjusted: list[float | None] = [None] * len(p_values)
    for family in (False, True):
        members = [(i, p) for i, p in enumerate(p_values) if p is not None and families[i] is family]
        for (i, _), p_holm in zip(members, stats.holm([p for _, p in members]), strict=True):
            adjusted[i] = p_holm
    return adjusted


def _paired(a: Measured, b: Measured, d: stats.Difference | None, p_holm: float | None) -> Paired:
    if d is None:
        return Paired(a.name, b.name, None, None, None, None, None)
    return Paired(a.name, b.name, d.value, d.se, d.ci95, d.p, p_holm)


def _strategy_json(result: Result) -> dict[str, Any]:
    line = {name: getattr(result, name) for name in ("name", "n_tasks", "accuracy", "se", "ci95", "oracle")}
    line["cost"] = asdict(result.cost)
    return _plain(line if result.exact else line | {"mc_se": result.mc_se})


def _plain(line: dict[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in line.items()}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
