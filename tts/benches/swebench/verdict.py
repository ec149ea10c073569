"""What a run of the tests comes to: swebench's own grading, and checks that hold a log to what happened."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from tts import hostile
from tts.benches.swebench.instances import Truth
from tts.benches.swebench.recipes import Recipe
from tts.errors import UsageError

KINDS: Mapping[str, str] = {"parse_log_django": "unittest", "parse_log_sympy": "sympy"}
"""Which runner a log parser reads; swebench's other parsers of Python read pytest's log."""

CLOSINGS: Mapping[str, re.Pattern[str]] = {
    "pytest": re.compile(r"^(?:\x1b\[[\d;]*m)*=* ?.*\d+ \w+.* in [\d.]+ ?s(?:econds)?\b", re.MULTILINE),
    "unittest": re.compile(r"^Ran \d+ tests? in [\d.]+s\s+^(?:OK|FAILED)\b", re.MULTILINE),
    "sympy": re.compile(r"tests finished: [^=]*\bin [\d.]+ seconds"),
}
"""The line with which a runner ends its log."""

NAMED = re.compile(r"::|^\w+ \(.+\)$|^test\w*$")
"""Ids in a runner's own form. Others (docstrings, scraps of a log) may be no name that the witness hears."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the witness told: how many processes started, ended by themselves, and closed a run of tests."""

    started: frozenset[int]
    ended: frozenset[int]
    closed: frozenset[int]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run of the tests is graded."""

    resolved: bool
    detail: str


def seen(text: str, word: str) -> Seen:
    """Return what the witness of that word told; lines without the word are nobody's."""
    events: dict[str, set[int]] = {"start": set(), "end": set(), "closed": set()}
    lines: list[str] = []
    for record in _records(text, word):
        if "line" in record:
            lines.append(str(record["line"]))
        elif record.get("event") in events:
            events[record["event"]].add(int(record.get("pid", 0)))
    start, end, closed = (frozenset(events[name]) for name in ("start", "end", "closed"))
    return Seen(start, end, closed, tuple(lines))


def _records(text: str, word: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        if line.startswith(word + " "):
            try:
                record = json.loads(line[len(word) + 1 :])
            except (ValueError, RecursionError):
                continue
            if isinstance(record, dict):
                yield record


def log_parser(truth: Truth, recipe: Recipe) -> str:
    """Return the name of the instance's log parser.

    Raises:
        UsageError: swebench has no such parser, or none for the repository, or it is not installed.
    """
    _check_extra()
    from swebench.harness.log_parsers import PARSER_REGISTRY
    from swebench.harness.log_parsers.python import MAP_REPO_TO_PARSER_PY

    name = recipe.log_parser
    if not name and truth.repo in MAP_REPO_TO_PARSER_PY:
        found = MAP_REPO_TO_PARSER_PY[truth.repo]
        name = next(key for key, parser in PARSER_REGISTRY.items() if parser is found)
    if name not in PARSER_REGISTRY:
        raise UsageError(
            f"{truth.instance_id}: log_parser is one of swebench's, such as parse_log_pytest, not {name!r}"
        )
    return name


def _check_extra() -> None:
    """Import what swebench's grading needs, which is more than swebench itself."""
    try:
        import_module("swebench.harness.grading")
    except ImportError as problem:
        raise UsageError(
            f"grading without Docker takes swebench's own parsers ({hostile.line(str(problem), 200)}): "
            "pip install 'tts-scaling[swebench]'"
        ) from problem


def kind_of(parser: str) -> str:
    """Return which runner a parser reads: pytest, unittest, sympy, or "" for none that the witness knows."""
    from swebench.harness.log_parsers import PARSER_REGISTRY

    ours = PARSER_REGISTRY[parser].__module__.endswith(".python")
    return KINDS.get(parser, "pytest") if ours else ""


def log_text(output: str, returncode: int) -> str:
    """Return the log as swebench's scripts write it, around output that can hold none of its markers."""
    from swebench.harness import constants

    words = (v for v in vars(constants).values() if isinstance(v, str) and v.startswith(">>>>> "))
    for word in sorted(words, key=len, reverse=True):
        output = output.replace(word, ">>>> " + word[6:])
    return (
        f"{constants.START_TEST_OUTPUT}\n{output}\n{constants.END_TEST_OUTPUT}\n"
        f"{constants.TEST_EXIT_CODE}: {returncode}\n"
    )


def verdict(truth: Truth, recipe: Recipe, output: str, returncode: int, told: Seen) -> Verdict:
    """Return swebench's grade of the run, held to what the witness told of it."""
    parser = log_parser(truth, recipe)
    kind = kind_of(parser)
    report = _report(truth, recipe, parser, log_text(output, returncode))
    if why := _untrue(kind, output, told):
        return Verdict(False, why)
    if "tests_status" not in report:
        return Verdict(False, f"the log holds no results that swebench's grading takes{_reason(report)}")
    good, bad = _split(report["tests_status"])
    if kind:
        denied = _denied(truth, recipe, parser, told)
        good, bad = [test for test in good if test not in denied], bad + [t for t in good if t in denied]
    strange = "" if good else _strange(truth, recipe, parser, output)
    return Verdict(bool(report["resolved"]) and not bad, _told(good, bad) + strange)


def _untrue(kind: str, output: str, told: Seen) -> str:
    """Return why a log is not that of a run which came to its end, "" where nothing speaks against it."""
    if told.started - told.ended:
        return "the test process did not end by itself: it was left by os._exit, killed, or replaced"
    if kind and not told.closed:
        return "the test runner never closed its run"
    if kind and not CLOSINGS[kind].search(output):
        return "the test runner's closing line is missing from the log"
    return ""


def _denied(truth: Truth, recipe: Recipe, parser: str, told: Seen) -> frozenset[str]:
    """Return the listed tests that the log may call passed, but that the witness did not hear pass."""
    from swebench.harness.grading import _resolve_case  # pyright: ignore[reportPrivateUsage]
    from swebench.harness.log_parsers import PARSER_REGISTRY

    heard = PARSER_REGISTRY[parser]("\n".join(told.lines), _spec(truth, recipe, parser))
    fine = {"PASSED", "XFAIL"}

    def heard_as(test: str) -> str | None:
        key = _resolve_case(test, heard)
        return heard[key] if key is not None else None

    wrong = {t for t in truth.fail_to_pass if heard_as(t) not in fine}
    for test in truth.pass_to_pass:
        status = heard_as(test)
        if status not in fine | {"SKIPPED"} and (status is not None or NAMED.search(test)):
            wrong.add(test)
    return frozenset(wrong)


def _strange(truth: Truth, recipe: Recipe, parser: str, output: str) -> str:
    """Return what the log calls its tests, where it has none of those that are listed."""
    from swebench.harness.grading import _resolve_case  # pyright: ignore[reportPrivateUsage]
    from swebench.harness.log_parsers import PARSER_REGISTRY

    found = PARSER_REGISTRY[parser](output, _spec(truth, recipe, parser))
    listed = (*truth.fail_to_pass, *truth.pass_to_pass)
    if not found or any(_resolve_case(test, found) is not None for test in listed):
        return ""
    return f"; the log has none of the listed tests, but such as {next(iter(found))}: check the recipe"


def _report(truth: Truth, recipe: Recipe, parser: str, log: str) -> dict[str, Any]:
    from swebench.harness.grading import get_eval_report

    prediction = {"instance_id": truth.instance_id, "model_name_or_path": "tts", "model_patch": "graded"}
    with tempfile.TemporaryDirectory(prefix="tts-log-") as folder:
        path = Path(folder) / "test_output.txt"
        path.write_text(log, encoding="utf-8", errors="replace", newline="")
        report = get_eval_report(_spec(truth, recipe, parser), prediction, str(path), True)
    return dict(report[truth.instance_id])


def _spec(truth: Truth, recipe: Recipe, parser: str) -> Any:
    from swebench.types import TestSpec

    return TestSpec(
        instance_id=truth.instance_id,
        image="",
        eval_script_list=[],
        repo=truth.repo,
        version=truth.version,
        FAIL_TO_PASS=list(truth.fail_to_pass),
        PASS_TO_PASS=list(truth.pass_to_pass),
        log_parser=parser,
        eval_type=recipe.eval_type,
    )


def _split(status: Mapping[str, Mapping[str, list[str]]]) -> tuple[list[str], list[str]]:
    lists = [status["FAIL_TO_PASS"], status["PASS_TO_PASS"]]
    return [t for one in lists for t in one["success"]], [t for one in lists for t in one["failure"]]


def _reason(report: Mapping[str, Any]) -> str:
    reason = report.get("infra_failure_reason")
    return f" ({reason})" if reason else ""


def _told(good: list[str], bad: list[str]) -> str:
    if not bad:
        return f"all {len(good)} listed tests pass"
    return f"{len(bad)} of {len(good) + len(bad)} listed tests fail: {', '.join(bad[:5])}"
