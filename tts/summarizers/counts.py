"""What the output of a test command says of the tests that passed and failed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

Counts = tuple[int | None, int | None]
"""Tests passed and failed; None where the output does not say."""

_WORDS = "passed|failed|errors?|skipped|xfailed|xpassed|deselected|warnings?|rerun|subtests passed"
_PYTEST_LINE = re.compile(
    rf"=* ?(?:tests finished: )?((?:\d{{1,9}} (?:{_WORDS})(?:, )?)+),?(?: in .{{1,60}})?\s*=*"
)
_UNITTEST_LINE = re.compile(r"Ran (\d{1,9}) tests? in .*")


def _python_counts(output: str) -> Counts:
    """Count by the last line that has the form of a summary: a test may print earlier ones itself."""
    lines = [line.strip() for line in output.splitlines()]
    for at, line in reversed(list(enumerate(lines))):
        if len(line) < 200 and (match := _PYTEST_LINE.fullmatch(line)):
            return _summed(match[1])
        if match := _UNITTEST_LINE.fullmatch(line):
            return _unittest_counts(int(match[1]), lines[at + 1 :])
    return None, None


def _summed(summary: str) -> Counts:
    found = {word.rstrip("s"): int(n) for n, word in re.findall(r"(\d+) (\w+)", summary)}
    return found.get("passed", 0), found.get("failed", 0) + found.get("error", 0)


def _unittest_counts(ran: int, after: Sequence[str]) -> Counts:
    status = next((line for line in after if line.startswith(("OK", "FAILED"))), None)
    if status is None:
        return None, None
    found = {word: int(n) for word, n in re.findall(r"([a-z](?:[a-z ]*[a-z])?)=(\d{1,9})", status)}
    failed = found.get("failures", 0) + found.get("errors", 0) + found.get("unexpected successes", 0)
    return max(0, ran - failed - found.get("skipped", 0)), failed


def _go_counts(output: str) -> Counts:
    passed = len(re.findall(r"(?m)^--- PASS: ", output))
    failed = len(re.findall(r"(?m)^--- FAIL: ", output)) or len(re.findall(r"(?m)^FAIL\t", output))
    fine = re.search(r"(?m)^ok\s", output)
    return passed or None, failed if failed or passed or fine else None


def _cargo_counts(output: str) -> Counts:
    found = re.findall(r"(?m)^test result: (?:ok|FAILED)\. (\d{1,9}) passed; (\d{1,9}) failed", output)
    if not found:
        return None, None
    return sum(int(p) for p, _ in found), sum(int(f) for _, f in found)


def _node_counts(output: str) -> Counts:
    lines = re.findall(r"(?m)^[ \t]*Tests:?[ \t]+(.{1,200})$", output)
    summary = (
        lines[-1] if lines else "\n".join(re.findall(r"(?m)^[ \t]*\d{1,9} (?:passing|failing)\b", output))
    )
    found = {word: int(n) for n, word in re.findall(r"(\d{1,9}) (pass|fail)", summary)}
    return (found.get("pass", 0), found.get("fail", 0)) if found else (None, None)


_COUNTERS: dict[str, Callable[[str], Counts]] = {
    "go": _go_counts,
    "cargo": _cargo_counts,
    "node": _node_counts,
}


def counts(tool: str, output: str) -> Counts:
    """Return the tests passed and failed that the captured output of a test command names."""
    return _COUNTERS.get(tool, _python_counts)(output)
