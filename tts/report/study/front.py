"""The Pareto front of accuracy and cost, and how often a strategy is on it when tasks are drawn again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tts.comparison import Comparison, Result

TIMES = 2_000
SEED = 0
CURRENCIES = ("usd", "tokens", "critical_seconds", "calls")
"""What a strategy can cost, the first that all strategies have a known cost in is drawn."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Place:
    """A strategy among the others: its mean cost per task, and whether nobody is both cheaper and better.

    `share` is how often it is on the front over bootstrap draws of the tasks (or their clusters).
    """

    name: str
    cost: float
    accuracy: float
    on_front: bool
    share: float


def front(comparison: Comparison) -> tuple[str, list[Place]]:
    """Return the currency and the places of those that did not use the truth; empty without costs."""
    honest = [r for r in comparison.strategies if not r.oracle and r.accuracy is not None]
    tasks = [t for t in comparison.clusters if all(t in r.values for r in honest)]
    for currency in CURRENCIES:
        costs = [_costs(result, tasks, currency) for result in honest]
        if tasks and len(honest) > 1 and all(found is not None for found in costs) and _tells(costs):
            return currency, _places(honest, tasks, comparison.clusters, [c for c in costs if c is not None])
    return "", []


def _tells(costs: Sequence[Floats | None]) -> bool:
    """Whether anybody costs anything in this currency."""
    return any(found is not None and found.any() for found in costs)


def _costs(result: Result, tasks: Sequence[str], currency: str) -> Floats | None:
    found = [result.costs.get(task) for task in tasks]
    values = [None if cost is None else _in(cost, currency) for cost in found]
    return None if None in values else np.array(values, dtype=np.float64)


def _in(cost: object, currency: str) -> float | None:
    if currency != "tokens":
        value: float | None = getattr(cost, currency)
        return value
    parts = (getattr(cost, "input_tokens"), getattr(cost, "output_tokens"))  # noqa: B009 - one of many kinds
    return None if None in parts else sum(parts)


def _places(
    honest: Sequence[Result], tasks: Sequence[str], clusters: Mapping[str, str], costs: Sequence[Floats]
) -> list[Place]:
    cost = np.stack(costs)
    value = np.array([[r.values[t] for t in tasks] for r in honest], dtype=np.float64)
    names = [clusters[t] or f"task {t}" for t in tasks]
    groups = {name: i for i, name in enumerate(dict.fromkeys(names))}
    member = np.zeros((len(groups), len(tasks)))
    member[[groups[name] for name in names], range(len(tasks))] = 1.0
    drawn = np.random.default_rng(SEED).multinomial(len(groups), [1 / len(groups)] * len(groups), size=TIMES)
    weight = drawn @ member
    weight /= weight.sum(axis=1, keepdims=True)
    shares = undominated(weight @ cost.T, weight @ value.T).mean(axis=0)
    here = undominated(cost.mean(axis=1)[None], value.mean(axis=1)[None])[0]
    means = zip(honest, cost.mean(axis=1), value.mean(axis=1), here, shares, strict=True)
    return [Place(r.name, float(c), float(v), bool(on), float(s)) for r, c, v, on, s in means]


def undominated(cost: Floats, value: Floats) -> NDArray[np.bool_]:
    """Return (draws, n): whether nobody is as cheap and as good, and better in one of the two."""
    cheaper = cost[:, None, :] <= cost[:, :, None]
    better = value[:, None, :] >= value[:, :, None]
    strictly = (cost[:, None, :] < cost[:, :, None]) | (value[:, None, :] > value[:, :, None])
    return np.asarray(~(cheaper & better & strictly).any(axis=2))
