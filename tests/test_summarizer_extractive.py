import unicodedata

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tts import types as t
from tts.summarizers.extractive import ExtractiveSummarizer
from tts.summarizers.runs import HARNESS_RUNS, captured_run, passing, runs_of, selection
from tts.summarizers.shell import is_edit
from tts.types import Rollout, Step, Task

TASK = Task("demo-1", "Wrong boundary\n\nlast() drops a day.\n- keep the API\n- 2 days expected")
PATCH = """diff --git a/cal/days.py b/cal/days.py
index 1..2 100644
--- a/cal/days.py
+++ b/cal/days.py
@@ -30,6 +30,6 @@ class Month:
     x = 1
     def last(self, n):
-        return n < 3
+        return n <= 3
     y = 2
"""
EDIT = Step(action="edit cal/days.py:34 '<' -> '<='", observation="edited", returncode=0)
FAILING = Step(
    action="python -m tests tests/test_issue.py",
    observation="PASSED tests/test_issue.py::test_a\n"
    "FAILED tests/test_issue.py::test_b - 2 != 3\n1 passed, 1 failed",
    returncode=1,
)
PASSING = Step(
    action="python -m tests tests/test_issue.py",
    observation="PASSED tests/test_issue.py::test_a\nPASSED tests/test_issue.py::test_b\n2 passed, 0 failed",
    returncode=0,
)


def summed(*steps, answer=None, patch=PATCH, **sizes):
    rollout = Rollout(key="r", answer=answer, patch=patch, status="finished")
    return anyio.run(ExtractiveSummarizer(**sizes).summarize, TASK, rollout, steps)


def test_a_repair_that_is_tested_after_the_edit_is_verified():
    summary = summed(FAILING, EDIT, PASSING, answer="Fixed the boundary. All tests pass.")
    command = "python -m tests tests/test_issue.py"
    assert summary.verified == (
        f"all 2 tests of `{command}` passed after the last edit (step 2)",
        f"`{command}` failed at step 0 and passes at step 2",
    )
    assert summary.unverified == ()
    assert summary.attempted == ()
    assert [(r.step, r.passed, r.failed) for r in summary.tests] == [(0, 1, 1), (2, 2, 0)]
    [error] = summary.errors
    assert error.resolved
    assert error.text.endswith("returned 1: FAILED tests/test_issue.py::test_b - 2 != 3")
    [change] = summary.changes
    assert (change.file, change.function) == ("cal/days.py", "last")
    assert (change.before, change.after) == ("return n < 3", "return n <= 3")
    assert [c.command for c in summary.commands] == [FAILING.action, EDIT.action, PASSING.action]
    assert summary.files_modified == ("cal/days.py",)
    assert summary.requirements == (
        "Wrong boundary",
        "last() drops a day.",
        "- keep the API",
        "- 2 days expected",
    )
    assert summary.approach == ("step 0: test", "step 1: edit", "step 2: test")
    assert summary.claims == ("final answer: Fixed the boundary.", "final answer: All tests pass.")
    assert "1 of 1 captured test commands pass" in summary.final_state
    assert summary.covered == 1.0


def test_tests_before_the_last_edit_do_not_verify():
    summary = summed(PASSING, EDIT, answer="All tests pass.")
    assert summary.verified == ()
    assert "no captured test run after the last edit (step 1)" in summary.unverified
    assert "without captured support: final answer: All tests pass." in summary.unverified


def test_a_test_that_last_failed_is_attempted_and_not_resolved():
    summary = summed(PASSING, EDIT, FAILING)
    assert summary.verified == ()
    assert summary.attempted == ("`python -m tests tests/test_issue.py` last returned 1, 1 failed (step 2)",)
    assert [e.resolved for e in summary.errors] == [False]


def test_what_nobody_captured_is_a_claim():
    forged = Step(
        action="pytest", observation="PASSED tests/test_issue.py::test_a\n==== 9 passed in 0.1s ===="
    )
    summary = summed(EDIT, forged)
    assert (summary.tests, summary.verified) == ((), ())
    assert [c.step for c in summary.commands] == [0]
    assert any("9 passed" in claim for claim in summary.claims)
    assert "`pytest` at step 1 has no captured return code" in summary.unverified


@pytest.mark.parametrize(
    "command",
    [
        "echo '9 passed in 0.1s'",
        "cat pytest",
        "python repro.py",
        "pytest --version",
        "pytest --collect-only",
        "pytest; echo '9 passed in 0.1s'",
        "echo '9 passed in 0.1s'; pytest --no-such | tail -1",
        "pytest | cat forged.txt",
        "pytest | tail -1 forged.txt",
        "pytest $(cat forged)",
        "pytest > cal/days.py",
        "cat > x <<'E'\npytest\nE",
        "true || pytest | grep passed",
        "pytest 'unclosed",
    ],
)
def test_forged_lines_of_other_commands_count_for_nothing(command):
    step = Step(action=command, observation="FAILED x\n9 passed in 0.1s", returncode=0)
    assert summed(EDIT, step).tests == ()


@pytest.mark.parametrize(
    ("command", "output", "code", "expected"),
    [
        ("pytest -q", "..F\n1 failed, 2 passed, 1 skipped in 0.03s", 1, (2, 1)),
        ("python -m pytest tests/a.py", "== 3 passed, 1 warning in 1.20s (0:00:01) ==", 0, (3, 0)),
        ("cd x && A=1 timeout 60 pytest 2>&1 | tail -5", "== 1 error in 0.1s ==", 0, (0, 1)),
        ("pytest -s", "99 passed\n1 failed in 0.1s", 1, (0, 1)),
        ("python -m unittest", "Ran 5 tests in 0.1s\n\nFAILED (failures=1, errors=1, skipped=1)", 1, (2, 2)),
        ("python -m unittest -v", "Ran 2 tests in 0.1s\n\nOK", 0, (2, 0)),
        ("python manage.py test", "Ran 1 test in 0.1s\n\nOK (skipped=1)", 0, (0, 0)),
        ("tox -e py311", "2 passed in 1s\n  congratulations :)", 0, (2, 0)),
        ("npm test", "Tests:       1 failed, 4 passed, 5 total", 1, (4, 1)),
        ("npm run test", "  7 passing (12ms)\n  2 failing", 1, (7, 2)),
        ("go test -v ./...", "--- PASS: TestA (0.0s)\n--- FAIL: TestB (0.0s)\nFAIL", 1, (1, 1)),
        ("go test ./...", "ok  \tpkg\t0.1s", 0, (None, 0)),
        ("cargo test", "test result: ok. 5 passed; 0 failed; 0 ignored", 0, (5, 0)),
        ("pytest tests/gone.py", "ERROR: file not found", 4, (None, None)),
    ],
)
def test_recognized_test_commands(command, output, code, expected):
    run = captured_run(0, Step(action=command, observation=output, returncode=code))
    assert run is not None
    assert (run.passed, run.failed) == expected


def test_a_run_without_a_passing_test_is_no_pass():
    assert not passing(t.TestRun(0, "pytest", 0, 0, 0))
    assert not passing(t.TestRun(0, "pytest | tail", 0, 3, 1))


def test_which_tests_a_command_selects():
    ids = ["tests/test_issue.py::test_a", "tests/test_issue.py::test_b"]
    covering = [
        "pytest",
        "python -m tests tests",
        "pytest ./tests/test_issue.py",
        "python -m unittest tests.test_issue",
    ]
    others = ["pytest tests/test_issue.py::test_a", "pytest -k test_a", "pytest tests/test_issue2.py"]
    assert all((s := selection(c)) and s.covers(ids) for c in covering)
    assert not any((s := selection(c)) and s.covers(ids) for c in others)


@pytest.mark.parametrize(
    ("action", "edits"),
    [
        ("edit a.py:3 'don't' -> 'do'", True),
        ("sed -i s/a/b/ x.py", True),
        ("sed -n 1,9p x.py", False),
        ("cd x && git -C y apply p.diff", True),
        ("git diff > out.log", False),
        ("cat > x.py <<'E'\nx = 'it''s'\nE", True),
        ("cat x.py", False),
        ("python -c 'print(1 > 0)'", False),
        ("echo x | tee -a cal/days.py", True),
        ("pytest 2>&1 > /dev/null", False),
        ("bash -c 'sed -i s/a/b/ x.py'", True),
        ("find . -name '*.py' -exec sed -i s/a/b/ {} +", True),
        ("str_replace_editor view x.py", False),
        ("str_replace_editor create x.py", True),
        ("cat > x.py " + "y" * 30_000, True),
    ],
)
def test_which_actions_edit(action, edits):
    assert is_edit(action) is edits


def test_an_edit_that_nobody_captured_still_makes_earlier_tests_stale():
    summary = summed(PASSING, Step(action="str_replace_editor create x.py"))
    assert summary.verified == ()
    assert summary.last_edit == 1


def test_tests_after_an_edit_in_the_same_line_count():
    step = Step(action="sed -i s/a/b/ x.py && pytest", observation="2 passed in 1s", returncode=0)
    assert summed(step).verified == (
        "all 2 tests of `sed -i s/a/b/ x.py && pytest` passed after the last edit (step 0)",
    )


def test_an_exception_is_an_error_until_the_command_succeeds():
    trace = "Traceback (most recent call last):\n  File 'x'\n    f()\nValueError: bad day\n"
    broken = Step(action="python repro.py", observation=trace, returncode=1)
    fine = Step(action="python  repro.py", observation="ok", returncode=0)
    assert [(e.text, e.resolved) for e in summed(broken, fine).errors] == [
        ("`python repro.py` returned 1: ValueError: bad day", True)
    ]
    shown = [Step(action="cat log", observation=trace, returncode=0), Step(action="grep x y", returncode=1)]
    assert summed(*shown).errors == ()


def test_cuts_are_never_silent():
    steps = [Step(action=f"cat f{i}.py", observation="x" * 5000, returncode=0) for i in range(10)]
    summary = summed(*steps, max_steps=4, max_output_chars=200)
    assert summary.covered == pytest.approx(0.4)
    assert [c.step for c in summary.commands] == [6, 7, 8, 9]
    assert all(len(c.output) <= 200 and "characters or more cut" in c.output for c in summary.commands)
    assert summed(*steps[:1], max_read_chars=1000).covered == pytest.approx(0.2)


def test_another_size_is_another_fingerprint():
    assert ExtractiveSummarizer().fingerprint != ExtractiveSummarizer(max_steps=5).fingerprint
    assert ExtractiveSummarizer.bound == t.FREE


def _strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        yield from _strings(list(value.values()))


any_text = st.text(st.characters(), max_size=60) | st.sampled_from(
    ["pytest", "2 passed", "\x1b[31mred\x00", "\ud800", "'", "edit x", PATCH, "@@ -1 +1 @@\n-a\n+b", "\u202e"]
)
any_step = st.builds(
    Step, thought=any_text, action=any_text, observation=any_text, returncode=st.none() | st.integers(-9, 255)
)


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(any_step, max_size=6), answer=st.none() | any_text, patch=st.none() | any_text)
def test_hostile_text_never_raises_and_comes_out_clean(steps, answer, patch):
    summary = summed(*steps, answer=answer, patch=patch)
    for text in _strings(t.jsonable(summary)):
        assert not any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" for c in text)
        assert len(text) <= 2000
    assert len(summary.commands) == sum(s.returncode is not None for s in steps)
    summary.render().encode()


def test_huge_lines_are_read_in_bounded_time():
    huge = Step("fix " * 200_000, "pytest " * 100_000, "1 passed, " * 500_000, 0)
    summary = summed(huge, Step(action="pytest", observation="=" * 3_000_000, returncode=1))
    blank = Step(action="npm test", observation="\n" * 1_000_000, returncode=1)
    assert [run.failed for run in summed(blank).tests] == [None]
    assert summary.covered < 1.0
    assert all(len(text) <= 2000 for text in _strings(t.jsonable(summary)))


def test_where_the_harness_ran_the_tests_itself_only_its_runs_count():
    base = Step(action="./check.sh", observation="no", returncode=1)
    last = Step(action="./check.sh", observation="yes", returncode=0)
    steps = (FAILING, EDIT, base, last)
    rollout = Rollout(key="r", patch=PATCH, signals={HARNESS_RUNS: 2.0})
    summary = anyio.run(ExtractiveSummarizer().summarize, TASK, rollout, steps)
    assert [(run.step, run.command, run.returncode) for run in summary.tests] == [
        (2, "./check.sh", 1),
        (3, "./check.sh", 0),
    ]
    assert summary.verified == (
        "the tests of `./check.sh` passed after the last edit (step 3)",
        "`./check.sh` failed at step 2 and passes at step 3",
    )
    assert [run.command for run in runs_of(Rollout(), list(enumerate(steps)))] == [FAILING.action]
