"""A report as Markdown."""

from __future__ import annotations

import re

from tts.report import text
from tts.report.facts import Report
from tts.report.sentences import bill_lines, legend, reading
from tts.report.tables import Table, accuracy_table, cost_table

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~!&])")


def markdown(report: Report) -> str:
    """Return the report as a Markdown document: tables, the reading of them, and the bill."""
    tables = [accuracy_table(report)] if report.graded else []
    parts = [_table(t) for t in (*tables, cost_table(report)) if len(t.columns) > 1]
    notes = [escaped(s) for s in (*legend(report), *reading(report), *bill_lines(report))]
    return "\n\n".join([*parts, *notes]) + "\n"


def escaped(value: str) -> str:
    """Return text from anywhere as one line that Markdown takes literally, also in a table's cell."""
    return _SPECIAL.sub(r"\\\1", text.line(value, 1_000))


def _table(table: Table) -> str:
    head = _row(table.columns)
    rule = "| " + " | ".join(["---", *["---:"] * (len(table.columns) - 1)]) + " |"
    return "\n".join([f"**{escaped(table.title)}**", "", head, rule, *(_row(r.cells) for r in table.rows)])


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(escaped(cell) for cell in cells) + " |"
