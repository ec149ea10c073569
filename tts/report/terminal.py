"""A report as rich renderables; text from anywhere enters as `Text`, never as markup."""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from tts.report import tables, text
from tts.report.facts import Report
from tts.report.sentences import bill_lines, legend, reading
from tts.run import Choice, Run
from tts.types import Grade

RESOLVED, FAILED, UNKNOWN, CUT, RAISED = "✓", "✗", "·", "…", "!"
LEGEND = f"{RESOLVED} resolved  {FAILED} not  {UNKNOWN} not graded  {CUT} incomplete  {RAISED} a stage raised"
STYLES = {RESOLVED: "green", FAILED: "red", CUT: "yellow", RAISED: "bold red"}
WIDE = 60
"""Strategy names longer than this in sum are numbered in the task list."""


def report_view(report: Report) -> RenderableType:
    """Return the tables of a report, the reading of them, and the bill."""
    accuracy = [tables.accuracy_table(report)] if report.graded else []
    shown = [t for t in (*accuracy, tables.cost_table(report)) if len(t.columns) > 1]
    parts: list[RenderableType] = [_table(table) for table in shown]
    parts += [Text(f"{told}\n", style="dim") for told in legend(report)]
    parts += [Text(f"• {sentence}") for sentence in reading(report)]
    parts += [Text(sentence, style="dim") for sentence in bill_lines(report)]
    return Group(*parts)


def task_list_view(run: Run) -> RenderableType:
    """Return the tasks of a run with the outcome of every strategy."""
    names = run.config.strategies
    chosen = {(c.task_id, c.strategy): c for c in run.choices()}
    heads = [text.line(name, 48) for name in names]
    long = sum(len(head) for head in heads) > WIDE
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=(0, 1))
    table.add_column("task", overflow="fold")
    for i, head in enumerate(heads, start=1):
        table.add_column(Text(f"({i})" if long else head), justify="center")
    for task in run.tasks():
        grades = run.grades(task.id)
        marks = (_outcome(chosen.get((task.id, name)), grades) for name in names)
        table.add_row(Text(text.line(task.id, 60)), *marks)
    legend = [Text(f"({i}) {head}") for i, head in enumerate(heads, start=1)] if long else []
    return Group(table, *legend, Text(LEGEND, style="dim"))


def mark_of(key: str, grades: Mapping[str, Grade]) -> str:
    """Return the sign of a rollout's grade."""
    if key not in grades:
        return UNKNOWN
    return RESOLVED if grades[key].resolved else FAILED


def marked(line: str, style: str = "") -> Text:
    """Return a line with its grade signs coloured."""
    found = Text(line, style=style)
    for sign, colour in STYLES.items():
        found.highlight_words([sign], colour)
    return found


def _outcome(choice: Choice | None, grades: Mapping[str, Grade]) -> Text:
    if choice is None:
        return Text("")
    sign = mark_of(choice.winner, grades) if choice.winner else (FAILED if grades else UNKNOWN)
    return marked(sign + CUT * (choice.incomplete and not choice.error) + RAISED * bool(choice.error))


def _table(table: tables.Table) -> RichTable:
    view = RichTable(
        title=Text(table.title, style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        header_style="bold",
        padding=(0, 0, 0, 1),
    )
    for i, column in enumerate(table.columns):
        view.add_column(Text(column), justify="right" if i else "left", overflow="fold", no_wrap=i > 0)
    for i, row in enumerate(table.rows):
        last_honest = not row.oracle and any(r.oracle for r in table.rows[i + 1 : i + 2])
        view.add_row(*map(Text, row.cells), style="dim" if row.oracle else "", end_section=last_honest)
    return view
