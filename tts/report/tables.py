"""The tables of a report as plain cells; terminal and Markdown only dress them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tts.comparison import Result
from tts.report import text
from tts.report.facts import Report

ORACLE = "oracle"


@dataclass(frozen=True, slots=True)
class Row:
    """Cells of clean text, one per column. `oracle` rows used the truth and are set apart."""

    cells: tuple[str, ...]
    oracle: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table; the first column is a name and stands left, the others are figures."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def without_empty(self, empty: Sequence[str] = ("",)) -> Table:
        """Return the table without the columns, after the first, whose every cell is in `empty`."""
        kept = [
            i
            for i in range(len(self.columns))
            if i == 0 or not all(row.cells[i] in empty for row in self.rows)
        ]
        rows = tuple(Row(tuple(row.cells[i] for i in kept), row.oracle) for row in self.rows)
        return Table(self.title, tuple(self.columns[i] for i in kept), rows)


def accuracy_table(report: Report) -> Table:
    """Return the line of every strategy: accuracy, error, difference to the baseline, oracle gap."""
    base = report.baseline
    whole = _scores_are_whole(report)
    columns = (
        "strategy",
        "" if whole else "resolved",
        "resolved %" if whole else "score %",
        "95 % interval",
        "drawn ±",
        f"− {text.line(base.name, 24)}" if base else "",
        "95 % interval",
        "p",
        "recovered",
        "tasks",
    )
    rows = [_accuracy_row(report, r, whole) for r in (*report.honest, *report.oracles)]
    same_tasks = len({r.n_tasks for r in report.comparison.strategies}) < 2
    tasks = f", {text.plural(report.honest[0].n_tasks, 'task')}" if same_tasks and report.honest else ""
    rows = [Row((*row.cells[:-1], "" if same_tasks else row.cells[-1]), row.oracle) for row in rows]
    return Table(f"Accuracy{tasks}", columns, tuple(rows)).without_empty()


def cost_table(report: Report) -> Table:
    """Return what each strategy takes per task, counted as if it ran alone."""
    columns = (
        "strategy",
        "rollouts",
        "summaries",
        "votes",
        "calls",
        "input tokens",
        "output tokens",
        "dollars",
        "critical path",
        "incomplete",
    )
    rows = tuple(_cost_row(report, r) for r in report.honest)
    absent = ("", "0", "$0.00", text.NONE)
    return Table("Cost per task, each strategy as if alone", columns, rows).without_empty(absent)


def gap_recovered(report: Report, name: str) -> tuple[float, str] | None:
    """Return the share of the oracle's gain over the baseline that a strategy keeps, and the oracle's name.

    The oracle is the pass@k with the strategy's own k (`rtv@6`: pass@6), else the largest there is.
    """
    oracle, base = _oracle_for(report, name), report.baseline
    if oracle is None or base is None or name == base.name:
        return None
    share = report.comparison.recovered(name, single=base.name, oracle=oracle)
    return None if share is None else (share, oracle)


def _accuracy_row(report: Report, r: Result, whole: bool) -> Row:
    pair = None if r.oracle else report.against_baseline(r.name)
    extra = report.extras.get(r.name)
    return Row(
        (
            f"{text.line(r.name, 48)} ({ORACLE})" if r.oracle else text.line(r.name, 48),
            f"{extra.n_resolved}/{extra.n_graded}" if extra and not whole else "",
            f"{text.percent(r.accuracy)} ± {text.percent(r.se)}",
            text.interval(r.ci95),
            "" if r.mc_se is None else text.percent(r.mc_se),
            text.points(pair.difference) if pair else "",
            text.interval(pair.ci95) if pair else "",
            text.p_value(pair.p_holm) if pair else "",
            _gap_cell(report, r),
            str(r.n_tasks),
        ),
        r.oracle,
    )


def _gap_cell(report: Report, r: Result) -> str:
    found = None if r.oracle else gap_recovered(report, r.name)
    return f"{100 * found[0]:.0f} %" if found else ""


def _oracle_for(report: Report, name: str) -> str | None:
    by_k = {int(m[1]): r.name for r in report.oracles if (m := re.fullmatch(r"pass@(\d+)", r.name))}
    known = {k: n for k, n in by_k.items() if report.comparison[n].accuracy is not None}
    own = re.search(r"@(\d+)$", name)
    if own and int(own[1]) in known:
        return known[int(own[1])]
    return known[max(known)] if known else None


def _scores_are_whole(report: Report) -> bool:
    """Whether the accuracy of every strategy is its share of resolved tasks, so one column tells both."""
    return all(
        (extra := report.extras.get(r.name)) is None
        or not extra.n_graded
        or r.accuracy is None
        or math.isclose(r.accuracy, extra.n_resolved / extra.n_graded, abs_tol=1e-9)
        for r in report.honest
    )


def _cost_row(report: Report, r: Result) -> Row:
    extra = report.extras.get(r.name)
    cost = r.cost
    return Row(
        (
            text.line(r.name, 48),
            text.count(extra.rollouts) if extra else "",
            text.count(extra.summaries) if extra else "",
            text.count(extra.verdicts) if extra else "",
            text.count(cost.calls),
            text.count(cost.input_tokens),
            text.count(cost.output_tokens),
            _dollars(r),
            text.seconds(cost.critical_seconds),
            f"{extra.n_incomplete}/{extra.n_tasks}" if extra and extra.n_incomplete else "",
        )
    )


def _dollars(r: Result) -> str:
    """A price that is unknown though calls are known is told apart from a cost that was never recorded."""
    return text.NONE if r.cost.usd is None and r.cost.calls is None else text.usd(r.cost.usd)
