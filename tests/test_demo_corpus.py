"""The demo's bugs are what they claim: tests run on the broken, the correct and the wrongly repaired code."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

import tts.demo
from tts.demo.harness import Harness, Limits, Report, warm_tests

CORPUS = Path(tts.demo.__file__).with_name("corpus")
ISSUE, HIDDEN = "tests/test_issue.py", "tests/test_hidden.py"
PATIENT = Limits(test_seconds=2.0, run_seconds=5)

Files = dict[str, str]
Bug = Mapping[str, Any]


def read_bugs() -> Iterator[tuple[Path, Bug]]:
    for table in sorted(CORPUS.glob("*/bugs.toml")):
        for bug in tomllib.loads(table.read_text(encoding="utf-8"))["bug"]:
            yield table.parent, bug


BUGS = list(read_bugs())
IDS = [bug["id"] for _, bug in BUGS]
TRAPPED = [bug["id"] for _, bug in BUGS if "trap" in bug]


def correct_files(folder: Path, bug: Bug) -> Files:
    paths = (folder / "src").rglob("*.py")
    files = {path.relative_to(folder / "src").as_posix(): path.read_text(encoding="utf-8") for path in paths}
    return {**files, ISSUE: bug["visible"], HIDDEN: bug["hidden"]}


def base_files(folder: Path, bug: Bug) -> Files:
    files = correct_files(folder, bug)
    for edit in edits_of(bug):
        files[edit["file"]] = files[edit["file"]].replace(edit["correct"], edit["buggy"])
    return files


def trap_files(folder: Path, bug: Bug) -> Files:
    files = base_files(folder, bug)
    assert files[bug["file"]].count(bug["buggy"]) == 1
    return {**files, bug["file"]: files[bug["file"]].replace(bug["buggy"], bug["trap"])}


def edits_of(bug: Bug) -> list[Mapping[str, str]]:
    return bug.get("edits") or [bug]


async def run_everything(place: Path) -> dict[tuple[str, str], Report]:
    """Return the report of every variant of every bug by bug id and the variant's name."""
    reports: dict[tuple[str, str], Report] = {}

    async def run(harness: Harness, key: tuple[str, str], files: Files) -> None:
        directory = place / "-".join(key)
        for name, text in files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text, encoding="utf-8")
        tests = sorted(name for name in files if name.startswith("tests/test_"))
        reports[key] = await harness.run(directory, tests, limits=PATIENT)

    async with warm_tests(run_seconds=30) as harness, anyio.create_task_group() as group:
        for folder, bug in BUGS:
            group.start_soon(run, harness, (bug["id"], "base"), base_files(folder, bug))
            group.start_soon(run, harness, (bug["id"], "correct"), correct_files(folder, bug))
            if "trap" in bug:
                group.start_soon(run, harness, (bug["id"], "trap"), trap_files(folder, bug))
    return reports


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Report]:
    return anyio.run(run_everything, tmp_path_factory.mktemp("corpus"))


def failing(report: Report) -> set[str]:
    return {outcome.id for outcome in report.outcomes if not outcome.passed}


def test_there_are_enough_bugs_packages_and_traps() -> None:
    assert len(IDS) >= 24
    assert len({folder for folder, _ in BUGS}) >= 8
    assert len(TRAPPED) >= 8
    assert sum(len(edits_of(bug)) > 1 for _, bug in BUGS) >= 3


def test_ids_are_unique_and_name_their_package() -> None:
    assert len(set(IDS)) == len(IDS)
    assert all(bug["id"].startswith(f"{folder.name}__") for folder, bug in BUGS)


@pytest.mark.parametrize(("folder", "bug"), BUGS, ids=IDS)
def test_the_correct_text_stands_exactly_once(folder: Path, bug: Bug) -> None:
    files = correct_files(folder, bug)
    assert [files[edit["file"]].count(edit["correct"]) for edit in edits_of(bug)] == [1] * len(edits_of(bug))
    assert all(edit["file"].startswith(f"{folder.name}/") for edit in edits_of(bug))
    assert bug["problem"].strip()
    assert bug["note"]


@pytest.mark.parametrize("id_", IDS)
def test_the_correct_code_passes_every_test(id_: str, reports: dict[tuple[str, str], Report]) -> None:
    report = reports[id_, "correct"]
    assert failing(report) == set()
    assert {outcome.id.partition("::")[0] for outcome in report.outcomes} > {ISSUE, HIDDEN}


@pytest.mark.parametrize("id_", IDS)
def test_the_base_fails_on_the_issue_and_hidden_tests_alone(
    id_: str, reports: dict[tuple[str, str], Report]
) -> None:
    report = reports[id_, "base"]
    assert {test.partition("::")[0] for test in failing(report)} == {ISSUE, HIDDEN}
    assert all(test in failing(report) for test in ids_in(report, ISSUE))


def ids_in(report: Report, file: str) -> list[str]:
    return [outcome.id for outcome in report.outcomes if outcome.id.startswith(file)]


@pytest.mark.parametrize("id_", TRAPPED)
def test_a_trap_passes_all_visible_tests_and_fails_a_hidden_one(
    id_: str, reports: dict[tuple[str, str], Report]
) -> None:
    assert {test.partition("::")[0] for test in failing(reports[id_, "trap"])} == {HIDDEN}


@pytest.mark.parametrize("id_", IDS)
def test_nothing_runs_for_ever(id_: str, reports: dict[tuple[str, str], Report]) -> None:
    """An endless loop in the base would cost every attempt its time."""
    variants = [report for (name, _), report in reports.items() if name == id_]
    assert {outcome.outcome for report in variants for outcome in report.outcomes} <= {"passed", "failed"}
