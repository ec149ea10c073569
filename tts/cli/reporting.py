"""Delivers a report in the form that was asked for: to stdout, to a file, or as a page with its plots."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tts.cli.console import as_json, say, written
from tts.report import text
from tts.report.facts import Report
from tts.report.json import document
from tts.report.study import Study
from tts.run import Run

PLOT_FILES = ("png", "svg", "pdf")


def deliver(
    report: Report,
    study: Study,
    form: str,
    output: Path | None,
    *,
    run: Run | None = None,
    title: str = "replay",
    group: str = "",
    plots: Path | None = None,
) -> None:
    """Write a report as `form`; a page goes to a file named after the run unless `output` names one.

    Raises:
        OSError: a file cannot be written.
    """
    if plots is not None:
        _plots(report, study, plots)
    if form == "html":
        _page(report, study, output or Path(f"{title or 'report'}.html"), run, title, group)
    elif output is None:
        print(told(report, study, form), end="")
    else:
        output.write_text(told(report, study, form, plain=True), encoding="utf-8")


def together(
    places: Sequence[Path], form: str, output: Path | None, *, group: str, plots: Path | None
) -> None:
    """Deliver the comparison of several runs.

    Raises:
        UsageError: what cannot be paired.
    """
    from tts.report.several import names_of, report_of_runs
    from tts.report.study import study_of_replay

    with ExitStack() as stack:
        runs = {
            name: stack.enter_context(Run.open(place))
            for name, place in zip(names_of(places), places, strict=True)
        }
        found = report_of_runs(runs, group=group)
    study = study_of_replay(found.comparison)
    deliver(found, study, form, output, title=" and ".join(runs), group=group, plots=plots)


def told(report: Report, study: Study, form: str, *, plain: bool = False) -> str:
    """Return a report as text of a form."""
    from tts.report import latex, sheet

    if form == "json":
        return as_json(document(report) | {"study": study.to_json()})
    if form == "latex":
        return latex.latex(report)
    return sheet.csv_text(report) if form == "csv" else written(report, form, plain=plain)


def _page(report: Report, study: Study, path: Path, run: Run | None, title: str, group: str) -> None:
    from tts.report.page import write_page

    made = write_page(path, report, study, run, title=title, group=group)
    beside = f", and {text.plural(len(made.beside), 'task')} in files beside it" if made.beside else ""
    say(f"{path}: {made.n_bytes / 1e6:.1f} MB{beside}")


def _plots(report: Report, study: Study, folder: Path) -> None:
    from tts.report.page.plots import PAPER, accuracies_of, plots, save

    folder.mkdir(parents=True, exist_ok=True)
    drawn = plots(study, accuracies_of(report.comparison), PAPER)
    for name, figure in drawn.items():
        for ending in PLOT_FILES:
            save(figure, folder / f"{name}.{ending}")
    say(f"{folder}: {', '.join(drawn) or 'nothing to draw'}")
