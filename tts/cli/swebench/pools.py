"""Imported attempts as an agent: which instances they are of, and how many there are of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tts.cli.console import say
from tts.errors import UsageError
from tts.experiment import strategy_of
from tts.formats.pool import lines
from tts.pipeline import needs
from tts.report import text
from tts.types import Task


def pooled(tasks: Sequence[Task], folder: Path) -> list[Task]:
    """Return those of the tasks of which the pool has attempts, and say how many are left out.

    Raises:
        UsageError: it has none of any.
    """
    known = _counts(folder)
    found = [task for task in tasks if task.id in known]
    if not found:
        some = ", ".join(sorted(known)[:3]) or "nothing"
        raise UsageError(f"the pool {folder} has attempts of none of the chosen instances; it has {some}")
    if len(found) < len(tasks):
        left_out = text.plural(len(tasks) - len(found), "instance")
        say(f"note: {left_out} left out: the pool {text.line(str(folder))} has no attempts of them")
    return found


def check_selecting(strategies: Sequence[str]) -> None:
    """Check that no strategy makes attempts anew from what earlier ones have shown.

    Raises:
        UsageError: one does.
    """
    for text_ in strategies:
        later = strategy_of(text_).run.stages[1:]
        if any("agent" in needs(stage) for stage in later):
            raise UsageError(
                f"{text.line(text_)} makes new attempts from earlier ones, which a pool cannot: choose one "
                "that selects, such as rtv@4 or vote@4"
            )


def check_size(tasks: Sequence[Task], folder: Path, n_rollouts: int) -> None:
    """Check that the pool has so many attempts of every task.

    Raises:
        UsageError: it has fewer of one.
    """
    known = _counts(folder)
    least = min(tasks, key=lambda task: known[task.id])
    if known[least.id] < n_rollouts:
        raise UsageError(
            f"the strategies ask for {text.plural(n_rollouts, 'attempt')} of each instance, and the pool has "
            f"{known[least.id]:,} of {text.line(least.id)}: give --attempts {known[least.id]}"
        )


def _counts(folder: Path) -> Counter[str]:
    return Counter(line["task_id"] for line in lines(folder))
