"""A report as CSV: a line for each strategy, plain numbers, fractions in [0, 1]."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict

from tts.report import text
from tts.report.facts import Report

COLUMNS = ("name", "oracle", "n_tasks", "accuracy", "se", "ci95_low", "ci95_high")


def csv_text(report: Report) -> str:
    """Return the strategies; unknown figures are empty. No cell begins as a formula of a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    costs = [asdict(r.cost) for r in report.comparison.strategies]
    names = list(costs[0]) if costs else []
    writer.writerow([*COLUMNS, *names])
    for one, cost in zip(report.comparison.strategies, costs, strict=True):
        low, high = one.ci95 or (None, None)
        figures = (one.oracle, one.n_tasks, one.accuracy, one.se, low, high, *(cost[name] for name in names))
        writer.writerow([_name(one.name), *("" if x is None else x for x in figures)])
    return out.getvalue()


def _name(value: str) -> str:
    plain = text.line(value)
    return f"'{plain}" if plain[:1] in "=+-@" else plain
