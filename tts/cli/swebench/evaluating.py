"""Makes the grader that the command line asks for, has it grade, and prints what came of it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import anyio
import typer

from tts.cli.console import as_json as json_text
from tts.cli.console import say, show
from tts.cli.play import resume_line
from tts.cli.swebench.grading import RunGrading, Session, grade_patches
from tts.cli.swebench.outcomes import Outcomes, outcomes_of, table, write_reports
from tts.cli.swebench.selection import Selection, remembered
from tts.errors import UsageError
from tts.formats.files import read_bytes, write_json
from tts.protocols import Grader
from tts.registry import estimator
from tts.report import text
from tts.report.facts import report_of_run
from tts.report.json import document
from tts.roles import grader_of
from tts.run import Run
from tts.types import Grade

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Grading:
    """How to grade, as the command line says; `harness` "": Docker where an engine answers.

    `named`: a grader of the user's own in place of a harness, "" for none.
    `timeout`: seconds of one run of the tests, None: what the recipe or the harness has.
    """

    harness: str = ""
    named: str = ""
    recipes: Path | None = None
    repos: Path | None = None
    sandbox: str = ""
    network: bool = False
    repeats: int = 1
    timeout: float | None = None
    workers: int = 4

    def grader(self, rows: Sequence[Row], selection: Selection) -> Grader:
        """Return the grader of instances.

        Raises:
            UsageError: it cannot be had, or lacks what it needs of an instance.
        """
        if self.named:
            return grader_of(self.named)
        from tts.benches.swebench.official import docker_answers

        answers = docker_answers()
        if self.harness == "docker" and not answers:
            raise UsageError("--harness docker: no Docker engine answers; start one, or use --harness local")
        if self.harness == "docker" or (answers and not self.harness):
            return self._official(rows, selection)
        return self._local(rows)

    def _official(self, rows: Sequence[Row], selection: Selection) -> Grader:
        raise NotImplementedError

    def _local(self, rows: Sequence[Row]) -> Grader:
        raise NotImplementedError


def selected(place: Path | None, named: Mapping[str, str | None]) -> Selection:
    """Return the data set that is graded: as the command line names it, else as the run remembers it.

    Raises:
        UsageError: neither says.
    """
    kept = remembered(place) if place is not None else Selection()
    if kept is None and named.get("subset") is None:
        raise UsageError(f"{place} does not say which data set it is of: give --subset and --split")
    return (kept or Selection()).but(**named)


def evaluate_run(
    place: Path,
    grading: Grading,
    named: Mapping[str, str | None],
    *,
    all_: bool,
    estimators: Sequence[str],
    grace_seconds: float,
    as_json: bool,
) -> None:
    """Grade a run's choices into its database, write its reports and print the table."""
    _check_estimators(estimators, all_)
    selection = selected(place, named)
    with Run.open(place) as run:
        rows = _rows_of([task.id for task in run.tasks()], selection)
    job = RunGrading(
        grader=grading.grader(rows, selection),
        which="all" if all_ else "winners",
        estimators=tuple(estimators),
        workers=grading.workers,
    )
    session = anyio.run(lambda: job.run(place, grace_seconds=grace_seconds))
    if session.interrupted:
        say(resume_line())
        raise typer.Exit(130)
    _finish(place, session, as_json=as_json)


def evaluate_predictions(
    path: Path, grading: Grading, named: Mapping[str, str | None], *, output: Path | None, as_json: bool
) -> None:
    """Grade a file of predictions and print what came of it."""
    from tts.benches.swebench.instances import task_of
    from tts.formats.preds import read

    patches = {one.task_id: one.rollout.patch or "" for one in read(read_bytes(path), path.name)}
    selection = selected(None, named)
    rows = _rows_of(list(patches), selection)
    tasks = {row["instance_id"]: task_of(row, grading.repos) for row in rows}
    grader = grading.grader(rows, selection)
    grades, errors = anyio.run(lambda: grade_patches(grader, tasks, patches, workers=grading.workers))
    found = Outcomes(path.stem, grades, errors)
    if output is not None:
        write_json(output, found.report())
    if as_json:
        sys.stdout.write(json_text({**found.document(), "report": found.report()}))
        return
    show(table([found]))
    for name in sorted(patches):
        print(f"{name}: {_status(grades[name]) if name in grades else 'infra: ' + text.line(errors[name])}")


def _status(grade: Grade) -> str:
    return text.line(grade.outcome) or ("resolved" if grade.resolved else "unresolved")


def _check_estimators(names: Sequence[str], all_: bool) -> None:
    if names and not all_:
        raise UsageError(f"{names[0]} needs the grade of every rollout: add --all")
    for name in names:
        if estimator(name) is None:
            raise UsageError(
                f"-s {name}: an oracle such as pass@8 is meant; strategies run in `tts swebench run`"
            )


def _rows_of(ids: Sequence[str], selection: Selection) -> list[Row]:
    """Return the instances of these ids.

    Raises:
        UsageError: there are none, or the data set lacks one.
    """
    if not ids:
        raise UsageError("there is nothing to grade: no task is there yet")
    rows = {row["instance_id"]: row for row in selection.all_rows()}
    if missing := [name for name in ids if name not in rows]:
        raise UsageError(
            f"{text.line(selection.subset)}, split {selection.split}, has no instance {missing[0][:80]}: "
            "name the data set with --subset and --split"
        )
    return [rows[name] for name in ids]


def _finish(place: Path, session: Session, *, as_json: bool) -> None:
    with Run.open(place) as run:
        found = outcomes_of(run, session.errors)
        report = document(report_of_run(run)) if as_json else {}
    write_reports(found, place / "eval")
    told = (
        f"{text.plural(session.n_graded, 'output')} graded now; reports in {text.line(str(place / 'eval'))}"
    )
    if session.open_tasks:
        told += f"; {text.plural(len(session.open_tasks), 'task')} left out: strategies have not chosen there"
    if as_json:
        say(told)
        sys.stdout.write(json_text({"swebench": [one.document() for one in found], **report}))
        return
    show(table(found))
    for task_id, error in sorted(session.errors.items())[:5]:
        print(f"infra: {text.line(task_id)}: {text.line(error)}")
    print(f"{told}\nnext: tts report {quote(str(place))}")
