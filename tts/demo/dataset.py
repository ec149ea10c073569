"""The demo's bugs as SWE-bench instances, as tasks for agents, and as truths for the grader."""

from __future__ import annotations

import ast
import difflib
import json
import shutil
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypedDict

from tts.demo import repository
from tts.errors import UsageError
from tts.types import Task

CORPUS = Path(__file__).with_name("corpus")
FAILING = Path(__file__).with_name("failing.json")
"""Per instance id, the tests that fail at the base commit, as measured by `tts.demo.failing`."""

ISSUE, HIDDEN = "tests/test_issue.py", "tests/test_hidden.py"

Files = Mapping[str, str]
"""Relative path to text."""


class Instance(TypedDict):
    """One record of the SWE-bench format."""

    instance_id: str
    repo: str
    base_commit: str
    problem_statement: str
    patch: str
    test_patch: str
    hints_text: str
    created_at: str
    version: str
    FAIL_TO_PASS: list[str]
    PASS_TO_PASS: list[str]
    environment_setup_commit: str


@dataclass(frozen=True, slots=True)
class Truth:
    """What only a grader may have: the files below `tests/` as they must be, and the tests that must pass.

    `hidden` are the tests that were not in the repository.
    """

    instance_id: str
    test_files: Files
    tests: tuple[str, ...]
    hidden: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bug:
    """One bug: the code at the base commit, the correct code, and the tests that only a grader has."""

    id: str
    package: str
    problem: str
    base: Files
    correct: Files
    hidden: str


@cache
def bugs(corpus: Path = CORPUS) -> tuple[Bug, ...]:
    """Return every bug of the corpus, by package and then in the order of its file.

    Raises:
        UsageError: a bug's text does not stand exactly once in its file.
    """
    return tuple(bug for folder in sorted(corpus.glob("*/bugs.toml")) for bug in _of_package(folder.parent))


def _of_package(folder: Path) -> Iterable[Bug]:
    source = {path.relative_to(folder / "src").as_posix(): path for path in (folder / "src").rglob("*.*")}
    names = sorted(name for name in source if "__pycache__" not in name)
    correct = {name: source[name].read_text(encoding="utf-8") for name in names}
    for table in tomllib.loads((folder / "bugs.toml").read_text(encoding="utf-8"))["bug"]:
        fixed = {**correct, ISSUE: table["visible"]}
        base = _broken(table, fixed)
        yield Bug(table["id"], folder.name, table["problem"].strip(), base, fixed, table["hidden"])


def _broken(table: Mapping[str, Any], files: Files) -> Files:
    broken = dict(files)
    for edit in table.get("edits", [table]):
        file, old, new = edit["file"], edit["correct"], edit["buggy"]
        if broken[file].count(old) != 1:
            raise UsageError(f"bug {table['id']}: its correct text must stand exactly once in {file}")
        broken[file] = broken[file].replace(old, new)
    return broken


def instances(corpus: Path = CORPUS) -> list[Instance]:
    """Return the SWE-bench record of every bug; it holds the truth, so it is not for agents."""
    return [_instance(bug) for bug in bugs(corpus)]


def _instance(bug: Bug) -> Instance:
    name, _ = repository.commit(bug.base)
    failing = set(_failing().get(bug.id, tests_in(ISSUE, bug.base[ISSUE])))
    tests = all_tests(bug)
    return Instance(
        instance_id=bug.id,
        repo=f"tts-demo/{bug.package}",
        base_commit=name,
        problem_statement=bug.problem,
        patch=_patch(bug.base, bug.correct),
        test_patch=_patch({}, {HIDDEN: bug.hidden}),
        hints_text="",
        created_at="2025-01-01T00:00:00Z",
        version="1.0",
        FAIL_TO_PASS=[test for test in tests if test in failing],
        PASS_TO_PASS=[test for test in tests if test not in failing],
        environment_setup_commit=name,
    )


@cache
def _failing() -> dict[str, list[str]]:
    return json.loads(FAILING.read_text()) if FAILING.exists() else {}


def tasks(root: Path, corpus: Path = CORPUS) -> list[Task]:
    """Return a task per bug, with its repository below `root`; what is there already is used again.

    Raises:
        UsageError: git, which attempts need, is not installed.
    """
    if shutil.which("git") is None:
        raise UsageError(
            "the demo needs git, which is not installed or not on PATH; install git and try again"
        )
    return [_task(bug, root.resolve()) for bug in bugs(corpus)]


def _task(bug: Bug, root: Path) -> Task:
    place, name = repository.write(bug.base, root, bug.id)
    visible = tests_in(ISSUE, bug.base[ISSUE])
    return Task(bug.id, bug.problem, str(place), name, {"package": bug.package, "visible": visible})


def truths(corpus: Path = CORPUS) -> dict[str, Truth]:
    """Return the truth of every bug by instance id; for graders alone."""
    return {bug.id: _truth(bug) for bug in bugs(corpus)}


def _truth(bug: Bug) -> Truth:
    files = {name: text for name, text in bug.base.items() if name.startswith("tests/")}
    hidden = tests_in(HIDDEN, bug.hidden)
    return Truth(bug.id, {**files, HIDDEN: bug.hidden}, tuple(all_tests(bug)), tuple(hidden))


def all_tests(bug: Bug) -> list[str]:
    """Return the ids of the visible and the hidden tests."""
    files = {
        **{name: text for name, text in bug.base.items() if name.startswith("tests/test_")},
        HIDDEN: bug.hidden,
    }
    return [test for name in sorted(files) for test in tests_in(name, files[name])]


def tests_in(file: str, text: str) -> list[str]:
    """Return the ids of the tests in a file's text, in order."""
    functions = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    return [f"{file}::{node.name}" for node in functions if node.name.startswith("test_")]


def _patch(before: Files, after: Files) -> str:
    changed = sorted(name for name in after if before.get(name) != after[name])
    return "".join(_file_patch(name, before.get(name), after[name]) for name in changed)


def _file_patch(name: str, before: str | None, after: str) -> str:
    head = f"diff --git a/{name} b/{name}\n" + ("new file mode 100644\n" if before is None else "")
    old = "/dev/null" if before is None else f"a/{name}"
    lines = difflib.unified_diff(_lines(before or ""), _lines(after), old, f"b/{name}")
    return head + "".join(lines)


def _lines(text: str) -> list[str]:
    """The lines with their ends; a last line without one is marked in git's way."""
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n\\ No newline at end of file\n"
    return lines
