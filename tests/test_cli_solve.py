"""`tts solve` through the command line: real repositories, and a script that mends or spoils them."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from tts.agents.tested import OWN, TestCommand, Tested, Watched
from tts.cli.console import console
from tts.cli.main import call
from tts.cli.progress import Tally
from tts.cli.solving.board import Board, Running
from tts.cli.solving.live import drawn
from tts.errors import LimitReached
from tts.run import Run
from tts.sandboxes.none import NoSandbox
from tts.testing import ScriptedAgent
from tts.types import Budget, Rollout, Step, Task, Usage
from tts.workspaces.git import GitWorkspaces

CLEAN = {
    **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b",
}
PROMPT = "The value is wrong: it must be right."

AGENT = """
echo "attempt $TTS_INDEX" >> {log}
case $TTS_INDEX in
  0) echo worse > value.txt ;;
  1) echo bad > value.txt; echo 'exit 0' > check.sh ;;
  2) echo right > value.txt; printf '\\033[2Jhidden\\n' > notes.txt ;;
  3) echo 'echo passed; exit 0' > test_extra.sh; echo wrong again > value.txt ;;
  *) echo nothing to do; exit 3 ;;
esac
printf '\\033[31mAll tests pass.\\033[0m 99 passed\\n'
"""


def git(*args: str, cwd: Path) -> str:
    done = subprocess.run(["git", *args], cwd=cwd, env=CLEAN, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in CLEAN.items():
        if name.startswith("GIT_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    place = tmp_path / "repo"
    place.mkdir()
    git("init", "-q", "-b", "main", cwd=place)
    (place / "value.txt").write_text("wrong\n")
    (place / "other.txt").write_text("other\n")
    (place / "check.sh").write_text("grep -qx right value.txt\n")
    (place / ".gitignore").write_text("runs/\n")
    git("add", ".", cwd=place)
    git("commit", "-qm", "base", cwd=place)
    return place


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def command(tmp_path: Path, repo: Path, log: Path) -> list[str]:
    script = tmp_path / "agent.sh"
    script.write_text(AGENT.replace("{log}", shlex.quote(str(log))))
    agent = f"sh {script} {{prompt_file}}"
    return ["solve", PROMPT, "--repo", str(repo), "--agent-cmd", agent, "--sandbox", "none"]


TESTS = ["--test-cmd", "sh check.sh"]


def files(repo: Path) -> dict[str, str]:
    found = (p for p in repo.rglob("*") if p.is_file() and ".git" not in p.relative_to(repo).parts)
    return {str(p.relative_to(repo)): p.read_text() for p in found}


def test_the_right_attempt_wins_by_the_tests_of_the_repository(
    command: list[str], repo: Path, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(repo)
    assert call([*command, *TESTS, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    winner = found["winner"]
    assert (winner["index"], winner["status"]) == (2, "finished")
    assert "+right\n" in winner["patch"]
    assert winner["tests"] == {
        "command": "sh check.sh",
        "pass": True,
        "returncode": 0,
        "passed": None,
        "failed": None,
        "base_returncode": 1,
        "own_returncode": None,
    }
    assert "correctness" in winner["why"]
    assert [(a["index"], a["tests"]) for a in found["attempts"]] == [
        (0, "fail"),
        (1, "fail"),
        (2, "pass"),
        (3, "fail"),
    ]
    assert found["strategy"] == "rtv@4"
    assert found["run"].startswith(str(tmp_path / "state" / "tts" / "solve"))
    assert files(repo) == before
    assert git("status", "--porcelain", cwd=repo) == ""
    assert len(log.read_text().splitlines()) == 4


def test_the_same_command_pays_nothing_again_and_says_what_to_do(
    command: list[str], repo: Path, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call([*command, *TESTS]) == 0
    first = capsys.readouterr()
    assert "\x1b" not in first.out + first.err
    assert "At most 4 rollouts" in first.err
    assert "attempt #2: finished, " in first.err
    assert "tests   sh check.sh: pass (exit status 0); before the change they did not pass" in first.out
    assert "end alike" not in first.out
    assert "winner #2" in first.out
    assert "+right" in first.out
    assert "hidden" in first.out
    assert "--apply" in first.out
    assert call([*command, *TESTS, "--apply"]) == 0
    second = capsys.readouterr()
    assert "0 rollouts run, 4 found in" in second.err
    assert "applied to the working tree: notes.txt, value.txt" in second.out
    assert (repo / "value.txt").read_text() == "right\n"
    assert git("diff", "--cached", cwd=repo) == ""
    assert len(log.read_text().splitlines()) == 4


def test_more_attempts_extend_the_run(command: list[str], log: Path, tmp_path: Path) -> None:
    place = ["-o", str(tmp_path / "run")]
    assert call([*command, *TESTS, *place, "--attempts", "2"]) == 0
    assert call([*command, *TESTS, *place, "--attempts", "3", "--patch", str(tmp_path / "p.diff")]) == 0
    assert len(log.read_text().splitlines()) == 3
    assert "+right\n" in (tmp_path / "p.diff").read_text()
    with Run.open(tmp_path / "run") as run:
        assert run.config.strategies == ("rtv@2", "rtv@3")


def test_a_dirty_file_is_not_touched(
    command: list[str], repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repo / "value.txt").write_text("mine\n")
    before = files(repo)
    assert call([*command, *TESTS, "--apply"]) == 1
    told = capsys.readouterr()
    assert "do not see what is not committed: value.txt" in told.err
    assert "not done: value.txt has changes that are not committed" in told.out
    assert files(repo) == before
    (repo / "value.txt").write_text("wrong\n")
    (repo / "other.txt").write_text("mine\n")
    assert call([*command, *TESTS, "--apply", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["landed"]["applied"] == ["notes.txt", "value.txt"]
    assert (repo / "other.txt").read_text() == "mine\n"


def test_a_conflict_changes_nothing(
    command: list[str], repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = git("rev-parse", "HEAD", cwd=repo).strip()
    (repo / "value.txt").write_text("another\n")
    git("commit", "-qam", "later", cwd=repo)
    before = files(repo)
    assert call([*command, *TESTS, "--base", base, "--apply", "--json"]) == 1
    landed = json.loads(capsys.readouterr().out)["landed"]
    assert landed["applied"] is None
    assert "does not fit" in landed["error"]
    assert files(repo) == before


def test_the_winner_is_committed_on_a_branch(
    command: list[str], repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repo / "value.txt").write_text("mine\n")
    assert call([*command, *TESTS, "--branch", "fix/value"]) == 0
    assert "branch  fix/value is at" in capsys.readouterr().out
    assert git("show", "fix/value:value.txt", cwd=repo) == "right\n"
    assert git("log", "-1", "--format=%an%n%B", "fix/value", cwd=repo).startswith(
        f"a\n{PROMPT}\n\nAttempt #2 of 4 attempts, chosen by rtv@4"
    )
    assert (repo / "value.txt").read_text() == "mine\n"
    assert git("branch", "--show-current", cwd=repo) == "main\n"
    assert call([*command, *TESTS, "--branch", "fix/value"]) == 2
    assert "exists already" in capsys.readouterr().err


def test_without_a_winner(command: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "agent.sh").write_text("echo sorry; exit 3\n")
    assert call([*command, *TESTS, "--apply"]) == 1
    told = capsys.readouterr()
    assert "no winner: no attempt left a change" in told.out
    assert "attempt #1: failed, no change" in told.out
    assert call([*command, *TESTS, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["winner"] is None


def test_a_dry_run_runs_nothing(
    command: list[str], log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call([*command, "-s", "rtv", "--attempts", "8", "--dry-run", "--rollout-usd", "0.5"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("At most 8 rollouts, 8 summaries, ")
    assert "$4.00" in out
    assert not log.exists()
    assert not (tmp_path / "state").exists()


def test_the_task_comes_from_a_file_or_standard_input(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "task.md"
    file.write_text("Mend it.\n")
    rest = [*command[2:], "--dry-run"]
    assert call(["solve", f"@{file}", *rest]) == 0
    assert call(["solve", "--prompt-file", str(file), *rest]) == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("Mend it.\n"))
    assert call(["solve", "-", *rest]) == 0
    assert call(["solve", "@/no/such/file", *rest]) == 2
    assert "cannot read /no/such/file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (["--agent", "x:y"], "exclude each other"),
        (["--attempts", "4", "-s", "rtv@8"], "says already how many"),
        (["-s", "pass@4"], "is an estimator"),
        (["-s", "nosuch"], "nosuch"),
        (["--base", "nosuch"], "it has no commit 'nosuch'"),
        (["--repo", "/"], "is no working tree"),
        (["--max-cost", "3"], "--rollout-usd"),
        (["--branch", "a..b"], "no name for a branch"),
        (["--branch", "main"], "exists already"),
        (["--test-network"], "--test-cmd"),
        (["--pass-env", "NO_SUCH_VARIABLE_HERE"], "this variable is not set"),
        (["--patch", "/no/such/folder/p.diff"], "there is no folder"),
    ],
)
def test_bad_input_is_told_in_a_line(
    command: list[str], extra: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call([*command, *extra]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert told in errors[0]


@pytest.mark.parametrize("name", ["./no-such-tool", "check.sh/../nothing.sh", "./check.sh"])
def test_a_program_that_the_repository_lacks_is_refused_before_the_run(
    repo: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["solve", PROMPT, "--repo", str(repo), "--agent-cmd", f"{name} x", "--sandbox", "none"]) == 2
    assert "the repository has no such program at commit" in capsys.readouterr().err
    assert not (repo / "runs").exists()


def test_a_program_of_the_repository_is_taken(repo: Path) -> None:
    (repo / "tool").write_text("#!/bin/sh\n")
    (repo / "tool").chmod(0o755)
    git("add", ".", cwd=repo)
    git("commit", "-qm", "tool", cwd=repo)
    asked = ["solve", PROMPT, "--repo", str(repo), "--agent-cmd", "./tool {prompt_file}", "--sandbox", "none"]
    assert call([*asked, "--dry-run"]) == 0


def test_an_agent_is_needed(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["solve", PROMPT, "--repo", str(repo)]) == 2
    assert "which agent?" in capsys.readouterr().err


def test_the_run_never_becomes_part_of_the_repository(
    command: list[str], repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call([*command, "-o", str(repo / "mine")]) == 2
    assert "lies in the working tree" in capsys.readouterr().err
    assert call([*command, "-o", str(repo / ".git" / "mine")]) == 2
    assert call([*command, "-o", str(repo / "runs" / "mine"), "--attempts", "1"]) == 0
    assert git("status", "--porcelain", cwd=repo) == ""


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_it_works_in_a_sandbox(
    command: list[str], log: Path, repo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.touch()
    bwrap = [word for word in command if word not in ("--sandbox", "none")]
    shown = ["--mount", str(tmp_path / "agent.sh"), "--mount", f"{log}:{log}:rw"]
    assert call([*bwrap, *shown, *TESTS, "--attempts", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["winner"]["index"] == 2
    assert len(log.read_text().splitlines()) == 3


def test_an_interrupted_run_goes_on_where_it_stopped(
    command: list[str], log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "agent.sh"
    quick = script.read_text()
    script.write_text(f'if [ "$TTS_INDEX" != 2 ]; then echo waits >> {log}; sleep 60; fi\n{quick}')
    place = tmp_path / "run"
    words = [*command, *TESTS, "-o", str(place), "--grace", "0"]
    process = subprocess.Popen([sys.executable, "-m", "tts", *words], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("attempt #2: finished"):
            break
    process.send_signal(signal.SIGINT)
    told = process.stderr.read()
    process.stderr.close()
    assert process.wait(30) == 130
    assert "Resume with the same command" in told
    assert not list((place / "workspaces").glob("clone-*"))
    script.write_text(quick)
    assert call([*words, "--json"]) == 0
    out, err = capsys.readouterr()
    assert "3 rollouts run, 1 found" in err
    assert json.loads(out)["winner"]["index"] == 2


def test_an_agent_of_python_that_changes_nothing_wins_nothing(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["solve", PROMPT, "--repo", str(repo), "--agent", "tts.testing:ScriptedAgent", "-s", "single"]
    assert call(words) == 1
    assert "no winner" in capsys.readouterr().out
    assert call([*words, "--pass-env", "PATH"]) == 2
    assert "--pass-env is for --agent-cmd and -m" in capsys.readouterr().err


# The tests that the harness runs


class Lent:
    """An attempt that keeps its steps."""

    def __init__(self, workspace: Path, limit: int = 1000) -> None:
        self.workspace, self.limit = workspace, limit
        self.steps: list[Step] = []
        self.index, self.seed = 0, 1
        self.priors: tuple[Any, ...] = ()
        self.limits = Budget()

    def record(self, step: Step) -> None:
        self.steps.append(step)
        if len(self.steps) > self.limit:
            raise LimitReached("enough")

    def spend(self, usage: Usage) -> None: ...
    def progress(self, length: float | None, *, thought: bool = False) -> None: ...


def checked(repo: Path, tmp_path: Path, change: str, *, limit: int = 1000, **options: Any) -> Any:
    """Return the rollout and the steps of an agent that runs a shell command and is then tested."""
    task = Task("t", "Mend it.", repo=str(repo), base_commit=git("rev-parse", "HEAD", cwd=repo).strip())

    async def script(task: Task, attempt: Any) -> Rollout:
        await anyio.run_process(["sh", "-c", change], cwd=attempt.workspace)
        attempt.record(Step(action="sh check.sh", observation="5 passed", returncode=0))
        return Rollout(signals={"harness_runs": 9.0, "confidence": 0.5})

    async def main() -> tuple[Rollout, list[Step], str]:
        workspaces = Watched(GitWorkspaces(tmp_path / "clones"))
        tests = TestCommand(**{"command": "sh check.sh", "sandbox": NoSandbox(), **options})
        agent = Tested(ScriptedAgent(script), tests, workspaces)
        async with workspaces.open(task) as workspace:
            attempt = Lent(workspace.path, limit)
            rollout = await agent.run(task, attempt)
            return rollout, attempt.steps, await workspace.diff()

    return anyio.run(main)


def test_what_an_attempt_does_to_tests_has_no_say(repo: Path, tmp_path: Path) -> None:
    rollout, steps, patch = checked(repo, tmp_path, "echo 'exit 0' > check.sh; echo bad > value.txt")
    assert [(s.action, s.returncode) for s in steps[1:]] == [
        ("sh check.sh", 1),
        (f"sh check.sh {OWN}", 0),
        ("sh check.sh", 1),
    ]
    assert rollout.signals == {"confidence": 0.5, "harness_runs": 3.0, "tests_pass": 0.0}
    assert "check.sh" in patch


def test_the_tests_run_on_a_clone_of_the_patch(repo: Path, tmp_path: Path) -> None:
    command = "sh check.sh && touch left-behind && test ! -e ignored.log"
    (repo / ".gitignore").write_text("*.log\n")
    git("commit", "-qam", "ignore logs", cwd=repo)
    rollout, steps, patch = checked(
        repo, tmp_path, "echo right > value.txt; touch ignored.log", command=command
    )
    assert [s.returncode for s in steps[1:]] == [1, 0]
    assert rollout.signals["tests_pass"] == 1.0
    assert "left-behind" not in patch


def test_without_a_change_nothing_is_tested(repo: Path, tmp_path: Path) -> None:
    rollout, steps, _ = checked(repo, tmp_path, "true")
    assert (len(steps), rollout.signals) == (1, {"confidence": 0.5})


def test_an_attempt_that_met_its_limit_is_tested_all_the_same(repo: Path, tmp_path: Path) -> None:
    rollout, steps, _ = checked(repo, tmp_path, "echo right > value.txt", limit=0)
    assert (rollout.status, rollout.error) == ("limit", "enough")
    assert [s.returncode for s in steps[1:]] == [1, 0]


def test_tests_that_hang_are_stopped_and_fail(repo: Path, tmp_path: Path) -> None:
    rollout, steps, _ = checked(
        repo, tmp_path, "echo right > value.txt", command="sh check.sh && sleep 30", seconds=0.5
    )
    assert rollout.signals["tests_pass"] == 0.0
    assert "stopped after 0.5 seconds" in steps[-1].observation


def test_code_that_ends_the_tests_before_they_speak_does_not_pass(repo: Path, tmp_path: Path) -> None:
    (repo / "test_value.py").write_text(
        "import unittest, value\n\nclass T(unittest.TestCase):\n    def test(self):\n"
        "        self.assertEqual(value.VALUE, 'right')\n"
    )
    (repo / "value.py").write_text("VALUE = 'wrong'\n")
    git("add", ".", cwd=repo)
    git("commit", "-qm", "python", cwd=repo)
    command = f"{sys.executable} -m unittest -q"
    for change, code, passes in (("import os; os._exit(0)", 1, 0.0), ("VALUE = 'right'", 0, 1.0)):
        rollout, steps, _ = checked(repo, tmp_path, f'echo "{change}" > value.py', command=command)
        assert (steps[-1].returncode, rollout.signals["tests_pass"]) == (code, passes)
    rollout, steps, _ = checked(
        repo, tmp_path, "printf 'print(\"Ran 1 test in 0.1s\\n\\nOK\")' > unittest.py", command=command
    )
    assert rollout.signals["tests_pass"] == 0.0


def test_fewer_tests_than_before_do_not_pass(repo: Path, tmp_path: Path) -> None:
    (repo / "count").write_text("7")
    git("add", ".", cwd=repo)
    git("commit", "-qm", "count", cwd=repo)
    (tmp_path / "pytest").write_text('#!/bin/sh\necho "$(cat count) passed in 0.1s"\n')
    (tmp_path / "pytest").chmod(0o755)
    for count, code in (("6", 1), ("8", 0)):
        _, steps, _ = checked(repo, tmp_path, f"echo {count} > count", command=f"{tmp_path}/pytest -q")
        assert steps[-1].returncode == code
    assert "fewer tests ran than before any change: 6 of 7" not in steps[-1].observation


@pytest.mark.parametrize(
    ("options", "path", "expected"),
    [
        ({}, "tests/test_a.py", True),
        ({}, "pkg/conftest.py", True),
        ({}, "pyproject.toml", True),
        ({}, "web/package.json", True),
        ({}, "src/a.py", False),
        ({"command": "./ci/run.sh --fast"}, "ci/run.sh", True),
        ({"command": "cd ci && ./run.sh"}, "ci/run.sh", True),
        ({"command": "CI=1 bash ci/run.sh; exit $?"}, "ci/run.sh", True),
        ({"command": "sh -c 'cd web && sh ci/run.sh'"}, "web/ci/run.sh", True),
        ({"command": "echo 'unended"}, "ci/run.sh", False),
        ({}, "pytest.py", True),
        ({}, "lib/unittest/__init__.py", False),
        ({}, "unittest/__init__.py", True),
        ({}, "src/argparse.py", True),
        ({}, "src/argparser.py", False),
        ({}, "node_modules/.bin/jest", True),
        ({}, "crates/a/build.rs", True),
        ({}, ".cargo/config.toml", True),
        ({}, "src/.mvn/jvm.config", True),
        ({}, "build.gradle.kts", True),
        ({}, "gradle/wrapper/gradle-wrapper.jar", True),
        ({}, "src/gradle.py", False),
        ({}, "vite.config.ts", True),
        ({"files": ("spec/*",)}, "spec/deep/a.rb", True),
        ({"files": ("spec/*",)}, "tests/test_a.py", False),
    ],
)
def test_which_files_are_tests(options: dict[str, Any], path: str, expected: bool) -> None:
    tests = TestCommand(**{"command": "pytest", "sandbox": NoSandbox(), **options})
    assert tests.is_test(path, added=True) is expected


def test_a_module_of_the_repository_that_was_there_before_is_no_shadow() -> None:
    assert not TestCommand(command="pytest", sandbox=NoSandbox()).is_test("types.py", added=False)


def test_another_test_command_makes_other_attempts() -> None:
    def fingerprint(command: str) -> str:
        tests = TestCommand(command=command, sandbox=NoSandbox())
        return Tested(ScriptedAgent(), tests, Watched(GitWorkspaces())).fingerprint

    assert fingerprint("make check") == fingerprint("make check") != fingerprint("make test")


# The board


def test_the_board_shows_attempts_and_votes_as_they_come() -> None:
    board = Board(running={(3, 0): Running(steps=7)})
    board.ended = (
        Rollout("a", index=0, patch="p", n_steps=2, signals={"tests_pass": 1.0}, usage=Usage(known_usd=0.5)),
        Rollout("b", index=1, status="failed", error="\x1b[31mred", signals={"tests_pass": 0.0}),
    )
    out = io.StringIO()
    console(out).print(drawn(board, Tally(total=4)))
    text = out.getvalue()
    assert "\x1b" not in text
    assert [line.split() for line in text.splitlines()[1:4]] == [
        ["#0", "finished", "2", "0.00", "s", "$0.50", "pass"],
        ["#1", "failed,", "no", "change", "0", "0.00", "s", "fail"],
        ["#3", "running", "7", "0.00", "s"],
    ]


def test_the_board_of_a_stored_run_has_its_rounds(command: list[str], tmp_path: Path) -> None:
    assert call([*command, *TESTS, "-o", str(tmp_path / "run")]) == 0
    with Run.open(tmp_path / "run") as run:
        board = Board(performer=run.config.performers["agent"])
        with board.reading(run.store):
            assert [r.index for r in board.ended] == [0, 1, 2, 3]
            assert [m.round for m in board.matches] == [1, 1, 2]
            assert board.matches[-1].votes[0] == ("#2", 8)


def test_a_tie_is_told_as_one(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "agent.sh").write_text("echo $TTS_INDEX > value.txt\n")
    assert call([*command, *TESTS, "--attempts", "2"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^why +by the rule for ties, after 0 of 0 votes against #\d$", out, re.MULTILINE)
    assert "tests   sh check.sh: do not pass (exit status 1); before the change they did not pass" in out
    assert "they end alike for all 2 attempts" in out
