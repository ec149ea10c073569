"""A plan as lines, and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tts.comparison import Result
from tts.planning import Plan
from tts.report import text

SHOWN = 12


def view(plan: Plan, n_tasks: int) -> list[RenderableType]:
    """Return the answer, the best of what fits, and the check."""
    chosen = plan.result
    told = (
        f"Buy {text.line(chosen.name)}: {_stands(chosen)} expected, {text.usd(chosen.cost.usd)} a task, "
        f"{text.usd((chosen.cost.usd or 0.0) * n_tasks)} for {text.plural(n_tasks, 'task')}."
    )
    table = Table(box=None, pad_edge=False)
    for column in ("strategy", "accuracy %", "95 % interval", "dollars a task"):
        table.add_column(column, justify="left" if column == "strategy" else "right")
    ranked = sorted(plan.comparison.strategies, key=lambda r: -(r.accuracy or 0.0))
    for one in ranked[:SHOWN]:
        table.add_row(
            text.line(one.name, 40),
            text.percent(one.accuracy),
            text.interval(one.ci95),
            text.usd(one.cost.usd),
        )
    check = (
        f"Chosen on one half of the tasks, {text.line(plan.promised.name)} scored "
        f"{text.percent(plan.promised.accuracy)} % there and {_stands(plan.held_out)} on the other half."
    )
    return [Text(told, style="bold"), Text(""), table, Text(""), Text(check)]


def document(plan: Plan, n_tasks: int) -> dict[str, Any]:
    """Return the plan as plain values."""
    return {
        "chosen": plan.chosen,
        "tasks": n_tasks,
        "usd_per_task": plan.usd_per_task,
        "expected_usd": (plan.result.cost.usd or 0.0) * n_tasks,
        "promised": _line(plan.promised),
        "held_out": _line(plan.held_out),
        **plan.comparison.to_json(),
    }


def _line(one: Result) -> dict[str, Any]:
    ci95 = None if one.ci95 is None else list(one.ci95)
    return {
        "name": one.name,
        "n_tasks": one.n_tasks,
        "accuracy": one.accuracy,
        "ci95": ci95,
        "cost": asdict(one.cost),
    }


def _stands(one: Result) -> str:
    return f"{text.percent(one.accuracy)} % ({text.interval(one.ci95)})"
