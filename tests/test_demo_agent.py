"""The repair agent, its edits and localization, the instances it works on, and its grader."""

from __future__ import annotations

import ast
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from random import Random

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.demo import HiddenTests, RepairAgent, instances, tasks, truths, warm_tests
from tts.demo.dataset import CORPUS, FAILING, bugs
from tts.demo.edits import apply, candidates, overlap
from tts.demo.failing import measure, run_all
from tts.demo.harness import Outcome, Report
from tts.demo.localize import named_in, ochiai
from tts.demo.operators import OPERATORS
from tts.demo.priors import Progress, Trial, trials
from tts.demo.search import Habits, Search, texts_of
from tts.errors import UsageError
from tts.summarizers.extractive import ExtractiveSummarizer
from tts.types import Budget, Command, Grade, Rollout, Step, Summary, Task
from tts.workspaces.git import GitWorkspaces

CODE = '''\
"""Days of the calendar."""

DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]


def is_leap(year):
    """Whether the year has 366 days."""
    if year % 400 == 0:
        return True
    if year % 100 == 0:
        return False
    return year % 4 == 0


def month_days(year, month):
    """The number of days of a month."""
    days = DAYS[month - 1]
    if month == 2 and is_leap(year):
        days += 1
    return days


def clamp_day(year, month, day):
    """The day, or the nearest one that the month has."""
    last = month_days(year, month)
    if day > last:
        return last
    return max(day, 1)
'''

VISIBLE = """\
from tinycal.dates import clamp_day, is_leap, month_days


def test_leap():
    assert is_leap(2024)
    assert is_leap(2000)
    assert not is_leap(2023)


def test_days():
    assert month_days(2023, 1) == 31
    assert month_days(2023, 4) == 30


def test_clamp():
    assert clamp_day(2023, 4, 31) == 30
    assert clamp_day(2023, 4, 7) == 7
"""

BUGS = """\
[[bug]]
id = "tinycal__february-1"
file = "tinycal/dates.py"
correct = "if month == 2 and is_leap(year):"
buggy = "if month == 2 or is_leap(year):"
problem = "`month_days(2023, 2)` gives 29 and should give 28."
visible = '''
from tinycal.dates import month_days


def test_february():
    assert month_days(2023, 2) == 28
    assert month_days(2024, 2) == 29


def test_january():
    assert month_days(2024, 1) == 31
'''
hidden = '''
from tinycal.dates import month_days


def test_all():
    assert [month_days(2024, m) for m in range(1, 13)] == [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]


def test_century():
    assert month_days(1900, 2) == 28
'''
note = ""

[[bug]]
id = "tinycal__clamp-2"
edits = [
  {file = "tinycal/dates.py", correct = "if day > last:", buggy = "if day < last:"},
  {file = "tinycal/dates.py", correct = "max(day, 1)", buggy = "min(day, 1)"},
]
problem = "clamp_day is all wrong."
visible = '''
from tinycal.dates import clamp_day


def test_inside():
    assert clamp_day(2023, 4, 7) == 7


def test_low():
    assert clamp_day(2023, 4, 0) == 1
'''
hidden = '''
from tinycal.dates import clamp_day


def test_high():
    assert clamp_day(2023, 2, 99) == 28
'''
note = ""
"""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    source = tmp_path / "corpus" / "tinycal" / "src"
    (source / "tinycal").mkdir(parents=True)
    (source / "tests").mkdir()
    (source / "tinycal" / "__init__.py").write_text("")
    (source / "tinycal" / "dates.py").write_text(CODE)
    (source / "tests" / "__init__.py").write_text("")
    (source / "tests" / "test_dates.py").write_text(VISIBLE)
    (source.parent / "bugs.toml").write_text(BUGS)
    return tmp_path / "corpus"


class Attempt:
    """A plain attempt that keeps its steps."""

    def __init__(self, seed: int, workspace: Path | None, priors: Sequence[Summary] = ()) -> None:
        self.index, self.seed, self.workspace, self.priors = 0, seed, workspace, priors
        self.limits = Budget()
        self.steps: list[Step] = []
        self.length = 0.0

    def record(self, step: Step) -> None:
        self.steps.append(step)

    def spend(self, usage: object) -> None:
        raise AssertionError("the agent spends nothing")

    def progress(self, length: float, *, thought: bool = False) -> None:
        self.length = length


Told = tuple[Rollout, list[Step], Grade]


def attempts(corpus: Path, root: Path, which: int, seeds: Sequence[int], n_more: int = 0) -> list[Told]:
    """One attempt per seed; then `n_more` that are given the summaries of the first ones."""

    async def main() -> list[Told]:
        task, told = tasks(root / "repos", corpus)[which], list[Told]()
        workspaces, summaries = GitWorkspaces(root / "clones"), list[Summary]()
        async with warm_tests() as harness:
            agent = RepairAgent(harness)
            grader = HiddenTests(truths(corpus), harness, workspaces)
            for n, seed in enumerate((*seeds, *range(1000, 1000 + n_more))):
                async with workspaces.open(task) as workspace:
                    attempt = Attempt(seed, workspace.path, summaries if n >= len(seeds) else ())
                    rollout = await agent.run(task, attempt)
                    rollout = Rollout(
                        key=str(seed),
                        status=rollout.status,
                        answer=rollout.answer,
                        patch=await workspace.diff(),
                        signals=rollout.signals,
                        length=rollout.length,
                    )
                if n < len(seeds):
                    summaries.append(await ExtractiveSummarizer().summarize(task, rollout, attempt.steps))
                assert attempt.length == rollout.length == len(attempt.steps)
                told.append((rollout, attempt.steps, await grader.grade(task, rollout)))
        return told

    return anyio.run(main)


@pytest.mark.parametrize("which", [0, 1])
def test_an_attempt_is_the_same_for_the_same_seed_and_another_for_another(
    corpus: Path, tmp_path: Path, which: int
) -> None:
    told = attempts(corpus, tmp_path, which, [1, 1, 2])
    (one, steps, _), (same, same_steps, _), (_, other_steps, _) = told
    assert (one.patch, one.answer, one.status) == (same.patch, same.answer, same.status)
    assert [(s.action, s.observation) for s in steps] == [(s.action, s.observation) for s in same_steps]
    assert [s.action for s in steps] != [s.action for s in other_steps]


def test_it_repairs_what_one_edit_can_repair(corpus: Path, tmp_path: Path) -> None:
    told = attempts(corpus, tmp_path, 0, range(8))
    resolved = [(rollout, steps) for rollout, steps, grade in told if grade.resolved]
    assert resolved
    for rollout, steps in resolved:
        assert rollout.status == "finished"
        assert rollout.signals["visible_passed"] == 1.0
        assert (rollout.patch or "").count("\n+") <= 3
        assert steps[0].returncode == 1
        assert steps[-1].returncode == 0


def test_a_rollout_that_finds_nothing_says_so_and_leaves_the_code(corpus: Path, tmp_path: Path) -> None:
    told = attempts(corpus, tmp_path, 1, range(6))
    stuck = [(rollout, steps) for rollout, steps, _ in told if rollout.status == "limit"]
    assert stuck
    for rollout, _ in stuck:
        assert "not solved" in (rollout.answer or "")
        assert rollout.signals["visible_passed"] < 1


def test_priors_help(corpus: Path, tmp_path: Path) -> None:
    for which in (0, 1):
        told = attempts(corpus, tmp_path, which, range(3), n_more=3)
        first, second = told[:3], told[3:]
        assert sum(grade.resolved for *_, grade in second) >= sum(grade.resolved for *_, grade in first)
        tried = {step.action for _, steps, _ in first for step in steps if step.action.startswith("edit ")}
        again = [s.action for _, steps, _ in second for s in steps if s.action.startswith("edit ")]
        passing = [a for a in again if a in tried]
        assert len(set(passing)) <= 4


def test_a_workspace_is_needed() -> None:
    async def main() -> None:
        async with warm_tests() as harness:
            await RepairAgent(harness).run(Task("t", "p"), Attempt(0, None))

    with pytest.raises(UsageError, match="workspace"):
        anyio.run(main)


def test_shipped_bugs_are_attempted_the_same_for_the_same_seed(tmp_path: Path) -> None:
    ids = [bug.id for bug in bugs()]
    assert len(ids) >= 24
    assert len({bug.package for bug in bugs()}) >= 8
    for which in (0, len(ids) // 2, len(ids) - 1):
        (one, steps, grade), (same, same_steps, same_grade) = attempts(CORPUS, tmp_path, which, [7, 7])
        assert [(s.action, s.observation) for s in steps] == [(s.action, s.observation) for s in same_steps]
        assert (one.patch, one.answer, grade) == (same.patch, same.answer, same_grade)


def test_the_shipped_record_of_failing_tests_is_what_is_measured() -> None:
    async def main() -> None:
        async with warm_tests() as harness:
            assert await measure(harness) == json.loads(FAILING.read_text()), "run python -m tts.demo.failing"
            for bug in bugs():
                report = await run_all(harness, bug, correct=True)
                assert report.passed, (bug.id, report.log())

    anyio.run(main)


def test_the_truth_of_shipped_bugs_is_in_no_task(tmp_path: Path) -> None:
    for task, record in zip(tasks(tmp_path), instances(), strict=True):
        shown = repr(task)
        assert record["patch"] not in shown
        assert "test_hidden" not in shown
        assert record["FAIL_TO_PASS"]
        assert record["base_commit"] == task.base_commit


def test_priors_are_read_from_captured_commands() -> None:
    edit = "edit a.py:1:1 '<' -> '<='"
    log = (
        "FAILED tests/test_issue.py::test_a - AssertionError: assert 1 == 2\n"
        "    tests/test_issue.py:7: assert f() == 2\n1 failed"
    )
    commands = (
        Command(0, "python -m tests tests", 1, log),
        Command(2, edit, 0),
        Command(3, "python -m tests tests/test_issue.py", 0, "PASSED tests/test_issue.py::test_a\n1 passed"),
        Command(4, "python -m tests tests", 1, "1 failed, 1 passed"),
        Command(5, "revert", 0),
    )
    found = [t for t in trials([Summary(commands=commands)], "tests/test_issue.py") if t.texts]
    assert [(t.texts, t.issue_passed, t.suite_passed) for t in found] == [
        (("a.py:1:1 '<' -> '<='",), True, False)
    ]


SNIPPETS = (
    CODE,
    "def f(a, b=None, *, key=''):\n    total = 0\n"
    "    for i in range(len(a)):\n        total += a[i] * 2 - 1\n"
    "        if not b and i >= 3 or key in a:\n            break\n    return total if total else None\n",
    "class C:\n    def g(self, x):\n        self.n = x\n        y = sorted(x, key=len)[1:-1]\n"
    "        return (y, self.n, self.m, f'{x!r}', 'ü' + x.lstrip())\n",
    "while True:\n    x = y.pop()\n    if x is None: continue\n",
)


@pytest.mark.parametrize("source", SNIPPETS)
def test_every_edit_changes_one_place_and_nearly_all_are_python(source: str) -> None:
    data = source.encode()
    drawn = candidates("a.py", data)
    assert len({(e.start, e.end, e.after) for e in drawn}) == len(drawn)
    assert len({edit.text for edit in drawn}) == len(drawn)
    broken = 0
    for edit in drawn:
        assert data[edit.start : edit.end].decode() == edit.before != edit.after
        assert data.splitlines()[edit.line - 1][edit.column - 1 :].startswith(
            edit.before.encode().split(b"\n")[0]
        )
        after = apply(data, [edit])
        assert after != data
        assert len(after) == len(data) + len(edit.after.encode()) - len(edit.before.encode())
        try:
            ast.parse(after)
        except SyntaxError:
            broken += 1
    assert broken <= 0.03 * len(drawn)


@given(st.data())
def test_edits_that_do_not_overlap_can_be_made_in_any_order(data: st.DataObject) -> None:
    drawn = candidates("a.py", CODE.encode())
    one, two = data.draw(st.sampled_from(drawn)), data.draw(st.sampled_from(drawn))
    if not overlap(one, two):
        both = apply(CODE.encode(), [one, two])
        assert both == apply(CODE.encode(), [two, one])
        assert one.after.encode() in both
        assert two.after.encode() in both


def test_the_table_has_no_operator_twice_and_every_one_draws_something() -> None:
    names = [operator.__name__ for operator, _ in OPERATORS]
    assert len(set(names)) == len(names)
    used = {edit.operator for source in SNIPPETS for edit in candidates("a.py", source.encode())}
    assert used == set(names)


def search(seed: int, *, stack: float = 1.0) -> Search:
    sources = {"a.py": CODE.encode()}
    start = Trial((), Progress(0, 5), "base")
    found = Search(candidates("a.py", CODE.encode()), sources, start, Habits(stack=stack), Random(seed))
    found.weigh({("a.py", line): 1.0 for line in range(15, 30)}, set())
    return found


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000))
def test_a_search_never_tries_the_same_twice_and_is_the_same_for_a_seed(seed: int) -> None:
    one, two, drawn = search(seed), search(seed), set[tuple[str, ...]]()
    for n in range(15):
        edits = one.draw()
        assert edits is not None
        assert edits == two.draw()
        texts = texts_of(edits)
        assert frozenset(texts) not in {frozenset(known) for known in drawn}
        drawn.add(texts)
        came = Progress(n % 2, 5)
        for each in (one, two):
            each.learn(Trial(texts, came, "other", issue_passed=False))


def test_two_edits_that_each_helped_are_tried_together() -> None:
    found = search(0)
    drawn = [edit for edit in candidates("a.py", CODE.encode()) if edit.operator == "off_by_one"]
    one = next(edit for edit in drawn if edit.line > 15)
    two = next(edit for edit in drawn if edit.line > 15 and edit.line != one.line)
    for edit in (one, two):
        found.learn(Trial(texts_of((edit,)), Progress(1, 5), "other", issue_passed=False))
    assert set(found.draw() or ()) == {one, two}


def test_what_passes_the_suite_is_handed_in_before_what_only_passes_the_issues_tests() -> None:
    found = search(0)
    first, second, third = ((edit,) for edit in candidates("a.py", CODE.encode())[:3])
    assert found.choice().texts == ()
    found.learn(Trial(texts_of(first), Progress(1, 9), "other", issue_passed=False))
    assert found.choice().texts == texts_of(first)
    found.learn(Trial(texts_of(second), Progress(2), "", issue_passed=True))
    assert found.choice().texts == texts_of(second)
    assert found.unverified() == [second]
    found.learn(Trial(texts_of(third), Progress(2), "", issue_passed=True, suite_passed=True))
    assert found.choice().texts == texts_of(third)
    found.learn(Trial(texts_of(third), issue_passed=True, suite_passed=False))
    assert found.choice().texts == texts_of(second)


def test_a_file_that_is_not_python_has_no_edits() -> None:
    assert candidates("a.py", b"def f(:\n") == ()


def test_suspicion_is_ochiais_coefficient() -> None:
    report = Report(
        (
            Outcome("tests/test_issue.py::test_a", "failed", lines={"a.py": [1, 2]}),
            Outcome("tests/test_x.py::test_b", "passed", lines={"a.py": [1, 3]}),
            Outcome("tests/test_x.py::test_c", "passed", lines={"a.py": [1]}),
        ),
        {"a.py": [9]},
    )
    found = ochiai(report)
    assert found == {
        ("a.py", 1): pytest.approx(1 / 3**0.5),
        ("a.py", 2): 1.0,
        ("a.py", 9): pytest.approx(1 / 3**0.5),
    }
    assert ochiai(Report((Outcome("tests/test_x.py::test_b", "passed"),))) == {}


def test_an_issue_names_code() -> None:
    assert named_in("call `clip` or month_days(2, 3) of the_module") == {"clip", "month_days", "the_module"}


def test_instances_are_swe_bench_records_of_real_repositories(corpus: Path, tmp_path: Path) -> None:
    made = {task.id: task for task in tasks(tmp_path / "repos", corpus)}
    records = instances(corpus)
    assert [record["instance_id"] for record in records] == ["tinycal__february-1", "tinycal__clamp-2"]
    for record in records:
        task = made[record["instance_id"]]
        place = tmp_path / "check" / task.id
        subprocess.run(["git", "clone", "-q", task.repo, str(place)], check=True)

        def git(*args: str, data: str | None = None, place: Path = place) -> str:
            done = subprocess.run(
                ["git", *args], cwd=place, check=True, capture_output=True, text=True, input=data
            )
            return done.stdout.strip()

        assert git("rev-list", "--all").split() == [record["base_commit"]] == [task.base_commit]
        assert git("fsck", "--strict", "--full") == ""
        git("apply", "--index", "-", data=record["patch"])
        assert (place / "tinycal" / "dates.py").read_text() == CODE
        assert not (place / "tests" / "test_hidden.py").exists()
        git("apply", "--index", "-", data=record["test_patch"])
        assert (place / "tests" / "test_hidden.py").exists()
        assert record["FAIL_TO_PASS"]
        assert not set(record["FAIL_TO_PASS"]) & set(record["PASS_TO_PASS"])


def test_tasks_hold_no_truth_and_are_made_once(corpus: Path, tmp_path: Path) -> None:
    first = tasks(tmp_path / "repos", corpus)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "repos").rglob("*")}
    assert tasks(tmp_path / "repos", corpus) == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "repos").rglob("*")} == stamps
    for task in first:
        assert set(task.metadata) == {"package", "visible"}
        assert "hidden" not in repr(task)


def test_grades_tell_right_from_wrong(corpus: Path, tmp_path: Path) -> None:
    record = instances(corpus)[0]
    wrong = record["patch"].replace("month == 2 and is_leap(year)", "month == 2 and year % 4 == 0")
    cheat = (
        "diff --git a/tests/test_hidden.py b/tests/test_hidden.py\nnew file mode 100644\n--- /dev/null\n"
        "+++ b/tests/test_hidden.py\n@@ -0,0 +1 @@\n+def test_all(): pass\n"
        "diff --git a/tests/test_dates.py b/tests/test_dates.py\ndeleted file mode 100644\n"
        "--- a/tests/test_dates.py\n+++ /dev/null\n"
        f"@@ -1,{len(VISIBLE.splitlines())} +0,0 @@\n"
        + "".join(f"-{line}\n" for line in VISIBLE.splitlines())
    )
    cases = {
        record["patch"]: (True, "all tests pass"),
        record["patch"] + cheat: (True, "all tests pass"),
        cheat: (False, "fail"),
        wrong: (False, "test_century"),
        "": (False, "empty patch"),
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n": (False, "does not apply"),
        "nonsense": (False, "does not apply"),
    }

    async def main() -> None:
        task = tasks(tmp_path / "repos", corpus)[0]
        workspaces = GitWorkspaces(tmp_path / "clones")
        async with warm_tests() as harness:
            grader = HiddenTests(truths(corpus), harness, workspaces)
            for patch, (resolved, detail) in cases.items():
                grade = await grader.grade(task, Rollout(key="k", patch=patch))
                assert (grade.rollout, grade.resolved) == ("k", resolved), patch
                assert detail in grade.detail
                assert resolved == (grade.score == 1.0)

    anyio.run(main)
