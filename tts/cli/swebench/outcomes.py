"""What grading came to: counts by outcome, a table, and the report that the official harness would write."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tts import stats
from tts.cli.swebench.keeping import file_name, is_prediction
from tts.comparison import Result
from tts.formats.files import write_json
from tts.report import text
from tts.run import Choice, Run
from tts.types import Grade

EMPTY, NOT_APPLIED, TIMEOUT = "empty patch", "patch does not apply", "timeout"
UNRAN = (NOT_APPLIED, TIMEOUT)
"""The outcomes in which no test result came about; the official harness calls these errors."""
HEADS = ("strategy", "instances", "resolved %", "±", "empty", "does not apply", "timeout", "infra")
INFRA = "not graded: the last attempt failed, and the next `tts swebench eval` tries again"


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The grades of one strategy's predictions by task; `infra` says of others why there is none.

    `open_tasks` have no prediction, or were left out of this grading.
    """

    name: str
    grades: Mapping[str, Grade]
    infra: Mapping[str, str] = field(default_factory=dict[str, str])
    open_tasks: Sequence[str] = ()

    @property
    def rate(self) -> stats.Estimate | None:
        """The share resolved of the graded, None without any; infrastructure failures are left out."""
        return stats.mean([float(grade.resolved) for grade in self.grades.values()]) if self.grades else None

    def without(self, tasks: Collection[str]) -> Outcomes:
        """Return it with these tasks open where they have no grade."""
        left = {name: why for name, why in self.infra.items() if name not in tasks}
        return replace(self, infra=left, open_tasks=[*self.open_tasks, *(self.infra.keys() - left.keys())])

    def with_outcome(self, *outcomes: str) -> list[str]:
        """Return the tasks with one of these outcomes, sorted."""
        return sorted(name for name, grade in self.grades.items() if grade.outcome in outcomes)

    def document(self) -> dict[str, Any]:
        """Return the counts as plain values."""
        rate = self.rate
        return {
            "strategy": self.name,
            "instances": len(self.grades) + len(self.infra),
            "resolved": sum(grade.resolved for grade in self.grades.values()),
            "accuracy": rate and rate.value,
            "se": rate and rate.se,
            "empty_patch": len(self.with_outcome(EMPTY)),
            "patch_does_not_apply": len(self.with_outcome(NOT_APPLIED)),
            "timeout": len(self.with_outcome(TIMEOUT)),
            "infra": len(self.infra),
            "not_predicted": len(self.open_tasks),
        }

    def report(self) -> dict[str, Any]:
        """Return the fields of the official harness's report, schema version 2.

        A patch that does not apply and a time-out are errors there, and so is a failure of the machine.
        """
        resolved = sorted(name for name, grade in self.grades.items() if grade.resolved)
        empty = self.with_outcome(EMPTY)
        infra = sorted(self.infra)
        errors = sorted([*self.with_outcome(*UNRAN), *infra])
        unresolved = sorted(self.grades.keys() - set(resolved) - set(empty) - set(errors))
        submitted = sorted([*self.grades, *infra])
        lists = {
            "completed_ids": sorted([*resolved, *unresolved]),
            "incomplete_ids": sorted(self.open_tasks),
            "empty_patch_ids": empty,
            "submitted_ids": submitted,
            "resolved_ids": resolved,
            "unresolved_ids": unresolved,
            "infra_failure_ids": infra,
            "ambiguous_failure_ids": [],
            "error_ids": errors,
        }
        counts = {f"{name.removesuffix('_ids')}_instances": len(ids) for name, ids in lists.items()}
        reasons = {name: self.infra.get(name) or self.grades[name].outcome for name in errors}
        total = len(submitted) + len(self.open_tasks)
        return {"total_instances": total, **counts, **lists, "failure_reasons": reasons, "schema_version": 2}


def outcomes_of(run: Run, errors: Mapping[str, str], left_out: Collection[str] = ()) -> list[Outcomes]:
    """Return the outcomes of every strategy that has chosen; `errors` of this session by task.

    `left_out` are tasks that this session did not grade.
    """
    by_name: dict[str, list[Choice]] = {}
    for choice in run.current_choices():
        by_name.setdefault(choice.strategy, []).append(choice)
    tasks = {task.id: run.grades(task.id) for task in run.tasks()}
    names = [name for name in run.config.strategies if name in by_name]
    found = [_outcomes(name, by_name[name], tasks, errors) for name in names]
    return [one.without(left_out) for one in found]


def _outcomes(
    name: str, choices: Sequence[Choice], tasks: Mapping[str, Mapping[str, Grade]], errors: Mapping[str, str]
) -> Outcomes:
    grades: dict[str, Grade] = {}
    infra: dict[str, str] = {}
    predicted = {c.task_id: c.winner for c in choices if is_prediction(c)}
    for task_id, winner in predicted.items():
        grade = tasks[task_id].get(winner) if winner else Grade(detail="no output")
        if grade is None:
            infra[task_id] = errors.get(task_id, INFRA)
        else:
            grades[task_id] = grade if grade.outcome or grade.detail != "no output" else Grade(outcome=EMPTY)
    return Outcomes(name, grades, infra, [task_id for task_id in tasks if task_id not in predicted])


def table(found: Sequence[Outcomes], oracles: Sequence[Result] = ()) -> RenderableType:
    """Return the outcomes as a table, a strategy a row, and below them the oracles of the run."""
    view = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=(0, 1))
    for i, head in enumerate(HEADS):
        view.add_column(head, justify="right" if i else "left", overflow="fold")
    for one in found:
        view.add_row(*map(Text, _cells(one)))
    for oracle in oracles:
        cells = (
            f"{text.line(oracle.name, 50)} (oracle)",
            f"{oracle.n_tasks:,}",
            text.percent(oracle.accuracy),
        )
        view.add_row(*map(Text, (*cells, text.percent(oracle.se))), style="dim")
    return view


def _cells(one: Outcomes) -> list[str]:
    told, rate = one.document(), one.rate
    error = text.NONE if rate is None or rate.se is None else text.percent(rate.se)
    counts = ("empty_patch", "patch_does_not_apply", "timeout", "infra")
    return [
        text.line(one.name, 60),
        f"{told['instances']:,}",
        text.percent(rate.value if rate else None),
        error,
        *(f"{told[name]:,}" for name in counts),
    ]


def write_reports(found: Sequence[Outcomes], folder: Path) -> None:
    """Write `<strategy>.json` of each, as the official harness reports; each is replaced as a whole."""
    for one in found:
        write_json(folder / f"{file_name(one.name)}.json", one.report())
