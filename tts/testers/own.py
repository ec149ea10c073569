"""Tests that an attempt wrote itself: those in its patch, and those that its commands wrote to files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from tts.diffs import parse_patch
from tts.judges.evidence import is_test_file
from tts.protocols import Author
from tts.suites import Suite, SuiteKind, TestCase
from tts.types import Step, Task

HEREDOC = re.compile(
    r"cat\b(?=[^\n]*>\s*(?P<path>[^\s<>]+))[^\n]*<<-?\s*(?P<quote>['\"]?)(?P<end>\w+)(?P=quote)[^\n]*\n"
    r"(?P<body>.*?)^(?P=end)$",
    re.DOTALL | re.MULTILINE,
)
SCRIPT = re.compile(r"(?:^|[/_-])(?:test|repro|reproduce|check|verify)\w*\.py$", re.IGNORECASE)
MOST_BYTES = 100_000
"""A larger file is no test of a bug."""


class OwnTests:
    """Finds the tests that the authors left; nothing is run and nobody is asked."""

    fingerprint = "own/1"

    async def write(
        self, task: Task, kind: SuiteKind, authors: Sequence[Author], *, n: int = 1, start: int = 0
    ) -> list[Suite]:
        """Return the authors' tests as one suite, n times."""
        found: dict[str, str] = {}
        for rollout, steps in authors:
            found |= dict(_commands(steps)) | dict(added(rollout.patch or ""))
        cases = [case_of(path, code) for path, code in found.items() if len(code) <= MOST_BYTES]
        return [Suite(cases=tuple(cases))] * n


def added(patch: str) -> Iterator[tuple[str, str]]:
    """Yield the test files in Python that a patch adds, with their text."""
    for file in parse_patch(patch):
        is_new = any(note.startswith("new file") for note in file.notes)
        if is_new and file.path.endswith(".py") and (is_test_file(file.path) or SCRIPT.search(file.path)):
            lines = (line for hunk in file.hunks for line in hunk.marked("+"))
            yield file.path, "\n".join(lines) + "\n"


def case_of(path: str, code: str) -> TestCase:
    """Return a test of a file: run by pytest where it holds functions for that, else as a script."""
    if re.search(r"^\s*(?:async )?def test_|^\s*class Test", code, re.MULTILINE):
        return TestCase(code, path, f"python3 -m pytest -q -p no:cacheprovider {shlex.quote(path)}")
    return TestCase(code)


def _commands(steps: Sequence[Step]) -> Iterator[tuple[str, str]]:
    """Yield the scripts that commands wrote, by where; the last one at a place counts."""
    for step in steps:
        for match in HEREDOC.finditer(step.action):
            path = match["path"].strip("'\"").removeprefix("/testbed/").removeprefix("./").lstrip("/")
            if SCRIPT.search(path):
                yield path, match["body"]
