"""What earlier attempts tried and what came of it, read from their summaries and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from tts.types import Command, Summary

EDIT, JOINT, REVERT, TEST = "edit ", " ; ", "revert", "python -m tests "
"""How the agent's actions begin, and what stands between edits that are made together."""

Texts = tuple[str, ...]
"""Edits made together, as texts, in order; none for the code as it was."""


@dataclass(frozen=True, slots=True, order=True)
class Progress:
    """How far the issue's tests came: how many passed, and the sum of the lines at which the others left."""

    n_passed: int = 0
    furthest: int = 0


@dataclass(frozen=True, slots=True)
class Trial:
    """Edits with the evidence on them: None where the test was not run."""

    texts: Texts
    progress: Progress | None = None
    failure: str = ""
    issue_passed: bool | None = None
    suite_passed: bool | None = None


def progress(log: str, issue_file: str) -> Progress:
    """Return how far the tests of the issue's file came in a test log."""
    passed = re.findall(rf"^PASSED {re.escape(issue_file)}::", log, re.MULTILINE)
    places = re.findall(rf"^    {re.escape(issue_file)}:(\d+)", log, re.MULTILINE)
    return Progress(len(passed), sum(map(int, places)))


def failure(log: str, issue_file: str) -> str:
    """Return what a test log says of the failing tests of the issue's file."""
    return "\n".join(line for line in log.splitlines() if line.startswith(f"FAILED {issue_file}"))


def trials(summaries: Iterable[Summary], issue_file: str) -> list[Trial]:
    """Return every trial that the summaries' captured commands tell of, attempt by attempt, in order."""
    return [trial for summary in summaries for trial in _of_one(summary.commands, issue_file)]


def _of_one(commands: Iterable[Command], issue_file: str) -> Iterator[Trial]:
    trial = Trial(())
    for command in commands:
        if command.command.startswith(EDIT):
            yield trial
            trial = Trial(tuple(command.command.removeprefix(EDIT).split(JOINT)))
        elif command.command == REVERT:
            yield trial
            trial = Trial(())
        elif command.command.startswith(TEST):
            trial = _judged(trial, command, issue_file)
    yield trial


def _judged(trial: Trial, command: Command, issue_file: str) -> Trial:
    passed = command.returncode == 0
    if issue_file not in command.command:
        return replace(trial, suite_passed=passed, issue_passed=trial.issue_passed or passed)
    came = progress(command.output, issue_file)
    return replace(trial, issue_passed=passed, progress=came, failure=failure(command.output, issue_file))
