"""Several runs over the same tasks as one comparison; what does not match is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tts.comparison import Comparison, Measured, Result, compare
from tts.errors import UsageError
from tts.report import text
from tts.report.facts import Report
from tts.run import Run


def report_of_runs(runs: Mapping[str, Run], *, group: str = "") -> Report:
    """Return the report of runs by name; a strategy is called `RUN: strategy`.

    Raises:
        UsageError: the runs differ in their tasks or in who graded them, or one has no grades.
    """
    names, first = list(runs), next(iter(runs.values()))
    for name in names[1:]:
        _check(names[0], first, name, runs[name])
    found = {name: run.comparison(group=group) for name, run in runs.items()}
    measured = [_measured(name, one) for name, made in found.items() for one in made.strategies]
    return Report(_compared(measured, found), n_tasks=len(found[names[0]].clusters))


def names_of(places: Sequence[Path]) -> list[str]:
    """Return short names of folders, that differ.

    Raises:
        UsageError: one is given twice.
    """
    resolved = [place.resolve() for place in places]
    if len(set(resolved)) < len(resolved):
        raise UsageError(f"{places[-1]} is given twice; name each run once")
    short = [place.name for place in resolved]
    return short if len(set(short)) == len(short) else [str(place) for place in places]


def _check(one: str, first: Run, other: str, second: Run) -> None:
    ours, theirs = ({task.id: task.digest for task in run.tasks()} for run in (first, second))
    missing = sorted(ours.keys() ^ theirs.keys())
    if missing:
        where = one if missing[0] in ours else other
        raise UsageError(
            f"{one} and {other} cannot be paired: {len(missing)} tasks are in one of them only, such as "
            f"{text.line(missing[0], 80)} in {where}; run both on the same tasks"
        )
    changed = next((id_ for id_ in ours if ours[id_] != theirs[id_]), None)
    if changed is not None:
        raise UsageError(
            f"{one} and {other} cannot be paired: the task {text.line(changed, 80)} differs in them"
        )
    graders = [run.config.performers.get("grader", "nobody") for run in (first, second)]
    if graders[0] != graders[1]:
        by = " and ".join(text.line(grader, 60) for grader in graders)
        raise UsageError(f"{one} and {other} cannot be paired: they were graded by {by}; grade both alike")


def _measured(name: str, one: Result) -> Measured:
    return Measured(f"{name}: {one.name}", one.values, one.costs, oracle=one.oracle)


def _compared(measured: Sequence[Measured], found: Mapping[str, Comparison]) -> Comparison:
    """Return the comparison; the expectations of estimators are exact, or their draws are not told here."""
    clusters = next(iter(found.values())).clusters
    made = compare(measured, clusters)
    errors = [one.mc_se for comparison in found.values() for one in comparison.strategies]
    told = (replace(one, mc_se=mc_se) for one, mc_se in zip(made.strategies, errors, strict=True))
    return replace(made, strategies=tuple(told))
