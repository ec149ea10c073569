"""Reads from what a test command printed which tests passed, by name, or else how many."""

from __future__ import annotations

import re

from tts.suites import TestOutcome, TestStatus
from tts.summarizers.runs import harness_run
from tts.types import Step

FORMS: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(form, re.MULTILINE), passed, failed)
    for form, passed, failed in (
        (r"^(?P<status>PASSED|FAILED|ERROR) (?P<name>\S+::.+?)(?: - .*)?$", "PASSED", "FAILED ERROR"),
        (r"^(?P<name>\S+::.+?) (?P<status>PASSED|FAILED|ERROR)\b", "PASSED", "FAILED ERROR"),
        (r"^(?P<name>test\w* \([\w.]+\)).*?\.\.\. (?P<status>ok|FAIL|ERROR)$", "ok", "FAIL ERROR"),
        (r"^\s*--- (?P<status>PASS|FAIL): (?P<name>\S+)", "PASS", "FAIL"),
        (r"^test (?P<name>\S+) \.\.\. (?P<status>ok|FAILED)$", "ok", "FAILED"),
        (r"^(?P<status>ok|not ok) \d+ (?:- )?(?P<name>.+)$", "ok", "not-ok"),
    )
)
"""Lines of pytest (-rA, -v), unittest (-v), go test (-v), cargo test and TAP, with their words."""

MOST = 20_000
"""So many names are read at most."""


def outcomes_of(command: str, output: str, returncode: int) -> list[TestOutcome]:
    """Return how each test of a run ended: by name, else by number from the counts, else the run as one.

    Without names the passed ones are numbered from 1, so that fewer passes than before are as many failures.
    """
    for form, passed, failed in FORMS:
        if found := _named(form, passed.split(), failed.split(), output):
            return found
    counts = harness_run(0, Step(action=command, observation=output, returncode=returncode))
    numbered = [TestOutcome(f"test {i + 1}", "passed") for i in range(min(MOST, counts.passed or 0))]
    whole: TestStatus = "failed" if returncode else "passed"
    return numbered or [TestOutcome("all", whole)]


def _named(form: re.Pattern[str], passed: list[str], failed: list[str], output: str) -> list[TestOutcome]:
    words: dict[str, TestStatus] = {**dict.fromkeys(passed, "passed"), **dict.fromkeys(failed, "failed")}
    found: dict[str, TestStatus] = {}
    for match in form.finditer(output):
        status = words.get(match["status"].replace(" ", "-"), "error")
        if len(found) < MOST and found.get(match["name"]) != "failed":
            found[match["name"]] = status
    return [TestOutcome(name, status) for name, status in found.items()]
