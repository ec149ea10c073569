"""Makes the grader that the command line asks for, has it grade, and prints what came of it."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import anyio
import typer

from tts.cli.console import as_json as json_text
from tts.cli.console import say, show
from tts.cli.play import resume_line
from tts.cli.sandboxed import sandbox_of
from tts.cli.swebench.grading import RunGrading, Session, fixed, grade_patches
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

if TYPE_CHECKING:
    from tts.benches.swebench.instances import Truth

Row = Mapping[str, Any]

MEMORY_GIB = 8
"""The memory that one instance's tests may use unless told otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grading:
    """How to grade, as the command line says; `harness` "": Docker where an engine answers.

    `named`: a grader of the user's own in place of a harness, "" for none. `environments`: where prepared
    environments are kept, None: in the user's cache.
    `timeout`: seconds of one run of the tests, None: what the recipe or the harness has. `memory`: GiB that
    one instance's install and tests may use, None: `MEMORY_GIB`; the limits of processes and sizes follow it.
    """

    harness: str = ""
    named: str = ""
    recipes: Path | None = None
    repos: Path | None = None
    sandbox: str = ""
    network: bool = False
    repeats: int = 1
    timeout: float | None = None
    memory: int | None = None
    workers: int = 4
    environments: Path | None = None

    def grader(self, data: DataSet, ids: Sequence[str]) -> Grader:
        """Return the grader of a data set's instances, of which `ids` are to be graded.

        Raises:
            UsageError: it cannot be had, or lacks what it needs of an instance.
        """
        if self.named:
            return grader_of(self.named)
        from tts.benches.swebench.official import docker_answers, unavailable

        answers = docker_answers()
        if self.harness == "docker" and not answers:
            raise UsageError("--harness docker: no Docker engine answers; start one, or use --harness local")
        if self.harness == "docker" or (answers and not self.harness):
            return self._official(data)
        truths = self._truths(data)
        if lacking := [name for name in ids if truths[name].recipe is None]:
            raise UsageError(unavailable(lacking))
        return self._local(truths)

    def places(self, data: DataSet, ids: Sequence[str]) -> dict[str, str]:
        """Return where the repositories of instances are now, where that is said; else as the run has it."""
        from tts.benches.swebench.instances import task_of

        return {} if self.repos is None else {name: task_of(data.rows[name], self.repos).repo for name in ids}

    def _official(self, data: DataSet) -> Grader:
        from tts.benches.swebench.instances import DATASETS, truth_of
        from tts.benches.swebench.official import HarnessGrader, Settings

        self._check_local("the official harness grades here, since a Docker engine answers")
        name = DATASETS.get(data.selection.subset, data.selection.subset)
        settings = Settings(name, data.selection.split, math.ceil(self.timeout or 1800))
        return HarnessGrader({name: truth_of(row) for name, row in data.rows.items()}, settings)

    def _check_local(self, why: str) -> None:
        """What only our own grader can follow must not be passed over in silence."""
        given = {
            "--recipes": self.recipes,
            "--sandbox": self.sandbox,
            "--test-network": self.network,
            "--repeats": self.repeats > 1,
            "--memory": self.memory,
            "--environments": self.environments,
        }
        if unused := [flag for flag, value in given.items() if value]:
            raise UsageError(f"{unused[0]} is for --harness local: {why}")

    def _truths(self, data: DataSet) -> dict[str, Truth]:
        """Return the truth of each instance, with its recipe where there is one."""
        from tts.benches.swebench.instances import truth_of
        from tts.benches.swebench.recipes import recipes

        given = recipes(self.recipes) if self.recipes else {}
        return {name: truth_of(row, given.get(name)) for name, row in data.rows.items()}

    def _local(self, truths: Mapping[str, Truth]) -> Grader:
        """Return our own grader: of all instances with a recipe, so that it stays the same as a run grows."""
        from tts.benches.swebench.environment import Environments
        from tts.benches.swebench.grader import LocalGrader, Settings, caps_of

        known = {name: truth for name, truth in truths.items() if truth.recipe is not None}
        inside = sandbox_of(self.sandbox or "bwrap", caps=caps_of(self.memory or MEMORY_GIB))
        environments = Environments(self.environments or cache(), inside)
        return LocalGrader(known, environments, Settings(self.repeats, self.network, self.timeout))


def cache() -> Path:
    """Return where prepared environments are kept unless told otherwise: below the user's own cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tts" / "swebench"


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set's instances by id, the truth among their fields."""

    selection: Selection
    rows: Mapping[str, Row]

    @classmethod
    def of(cls, selection: Selection, ids: Sequence[str]) -> DataSet:
        """Return the data set of a selection, which must have these instances.

        Raises:
            UsageError: it cannot be read, there are no ids, or it lacks one.
        """
        if not ids:
            raise UsageError("there is nothing to grade yet: the run has no task, or the file no prediction")
        rows = {row["instance_id"]: row for row in selection.all_rows()}
        if missing := [name for name in ids if name not in rows]:
            raise UsageError(
                f"{text.line(selection.subset)}, split {selection.split}, has no instance "
                f"{text.line(missing[0])}: name the data set with --subset and --split"
            )
        return cls(selection, rows)


def selected(place: Path | None, named: Mapping[str, str | None]) -> Selection:
    """Return the data set that is graded: as the command line names it, else as the run remembers it.

    Raises:
        UsageError: neither says.
    """
    if place is not None and not (place / "run.db").exists():
        raise UsageError(
            f"there is no run at {text.line(str(place))}: expected what `tts swebench run -o` made"
        )
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
        ids = [task.id for task in run.tasks()]
        oracles = tuple(estimators) or (oracles_of(run) if all_ else ())
    data = DataSet.of(selection, ids)
    job = RunGrading(
        grader=fixed(grading.grader(data, ids)),
        repos=grading.places(data, ids),
        which="all" if all_ else "winners",
        estimators=oracles,
        workers=grading.workers,
    )
    session = anyio.run(lambda: job.run(place, grace_seconds=grace_seconds))
    if session.interrupted:
        say(resume_line())
        raise typer.Exit(130)
    _finish(place, session, as_json=as_json)


def oracles_of(run: Run) -> tuple[str, ...]:
    """Return pass@N for the N first attempts that every task has, none where one has none."""
    used: dict[str, set[str]] = {}
    for choice in run.current_choices():
        used.setdefault(choice.task_id, set()).update(choice.used)
    counts = (
        sum(key in keys and not rollout.iteration for key, rollout in run.rollouts(task_id).items())
        for task_id, keys in used.items()
    )
    least: int = min(counts, default=0)
    return (f"pass@{least}",) if least else ()


def evaluate_predictions(
    path: Path, grading: Grading, named: Mapping[str, str | None], *, output: Path | None, as_json: bool
) -> None:
    """Grade a file of predictions and print what came of it."""
    from tts.benches.swebench.instances import task_of
    from tts.formats.preds import read

    patches = {one.task_id: one.rollout.patch or "" for one in read(read_bytes(path), path.name)}
    data = DataSet.of(selected(None, named), list(patches))
    tasks = {name: task_of(data.rows[name], grading.repos) for name in patches}
    grader = grading.grader(data, list(patches))
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


def _finish(place: Path, session: Session, *, as_json: bool) -> None:
    with Run.open(place) as run:
        found = outcomes_of(run, session.errors, session.open_tasks)
        report = report_of_run(run)
    write_reports(found, place / "eval")
    told = (
        f"{text.plural(session.n_graded, 'output')} graded now; reports in {text.line(str(place / 'eval'))}"
    )
    if session.open_tasks:
        told += f"; {text.plural(len(session.open_tasks), 'task')} left out: strategies have not chosen there"
    if as_json:
        say(told)
        sys.stdout.write(json_text({"swebench": [one.document() for one in found], **document(report)}))
        return
    show(table(found, report.oracles))
    for task_id, error in sorted(session.errors.items())[:5]:
        print(f"infra: {text.line(task_id)}: {text.line(error)}")
    print(f"{told}\nnext: tts report {quote(str(place))}")
