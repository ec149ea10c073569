"""`tts report`: the comparison of a run, for the terminal, as Markdown or as JSON."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tts.cli.options import Json

EXAMPLES = """\b
Examples:
  tts report runs/demo
  tts report runs/demo --format html -o demo.html   one page that opens from disk
  tts report runs/demo --format markdown -o demo.md
  tts report runs/demo --format latex               a table for a paper; csv for a spreadsheet
  tts report runs/demo --plots figures              every plot as PNG, SVG and PDF
  tts report runs/demo --group package   errors clustered by a key of the tasks' metadata
  tts report runs/a runs/b -f html  two runs over the same tasks, compared task by task
"""


class Format(StrEnum):
    """How a report is written."""

    terminal = "terminal"
    markdown = "markdown"
    json = "json"
    html = "html"
    latex = "latex"
    csv = "csv"


def report(
    places: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="The folder of a run, or of several over the same tasks."),
    ],
    how: Annotated[Format, typer.Option("--format", "-f", help="How it is written.")] = Format.terminal,
    group: Annotated[
        str, typer.Option(metavar="KEY", help="Cluster the errors by this key of the tasks' metadata.")
    ] = "",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write to a file instead of stdout.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write every plot there too, as PNG, SVG and PDF.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare the strategies of a run.

    Shows accuracy with its error, paired differences, the cost of each strategy alone, and the bill; the page
    (html) also what was gained and lost, how the judges did, and every task.
    """
    from tts.cli.reporting import deliver, together
    from tts.report.facts import report_of_run
    from tts.report.study import study_of_run
    from tts.run import Run

    form = "json" if as_json else how.value
    if len(places) > 1:
        together(places, form, output, group=group, plots=plots)
        return
    (place,) = places
    with Run.open(place) as run:
        found = report_of_run(run, group=group)
        study = study_of_run(run, found.comparison, group=group)
        deliver(found, study, form, output, run=run, title=place.name, group=group, plots=plots)
