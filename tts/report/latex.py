"""A report as a LaTeX table for a paper (packages booktabs)."""

from __future__ import annotations

import re

from tts.report import text
from tts.report.facts import Report
from tts.report.tables import accuracy_table

_SPECIAL = re.compile(r"[\\&%$#_{}~^<>|\"]")
_WRITTEN = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
}


def latex(report: Report) -> str:
    """Return the table of strategies, each with its error, as a tabular; text from anywhere is escaped."""
    table = accuracy_table(report)
    lines = [
        r"\begin{tabular}{l" + "r" * (len(table.columns) - 1) + "}",
        r"\toprule",
        _row(table.columns),
        r"\midrule",
        *(_row(row.cells) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def escaped(value: str) -> str:
    """Return text as LaTeX sets it literally."""
    plain = _SPECIAL.sub(lambda m: _WRITTEN.get(m[0], "\\" + m[0]), text.line(value, 200))
    return plain.replace("−", "$-$").replace("±", r"$\pm$").replace("–", "--").replace("′", "$'$")


def _row(cells: tuple[str, ...]) -> str:
    return " & ".join(map(escaped, cells)) + r" \\"
