"""Selection by tests through the command line: programs that a model writes, and patches on a repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tts.cli.main import call
from tts.testing.provider import ModelServer, Says

SANDBOX = "bwrap" if shutil.which("bwrap") else "none"
FENCE = "```python\n{}```\n"
GOOD, BAD = "def double(x):\n    return 2 * x\n", "def double(x):\n    return x + 2\n"
PRICE = ["--price", "openai/m=1,1", "--price", "openai/w=1,1"]


def says(asked: Any) -> Says:
    if asked.model == "w":
        return Says(FENCE.format("assert double(5) == 10\n") + FENCE.format("assert double(2) == 4\n"))
    return Says(FENCE.format(GOOD if asked.index % 4 == 3 else BAD))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "tasks.jsonl").write_text('{"id": "t", "prompt": "Write double(x).", "expected": "x"}\n')
    return tmp_path


def words(*more: str) -> list[str]:
    run = [
        "run",
        "--tasks",
        "tasks.jsonl",
        "--model",
        "openai/m",
        "-s",
        "codet@4",
        "-o",
        "out",
        "--grade",
        "none",
    ]
    return [*run, "--sandbox", SANDBOX, *more]


def test_programs_are_chosen_by_tests_that_a_model_writes_and_nothing_is_done_again(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ModelServer(says) as server:
        asked = words("--test-writer", "openai/w", "--base-url", server.openai_url, "--json")
        assert call(asked) == 0
        n_requests = len(server.requests)
        assert call(asked) == 0
        assert len(server.requests) == n_requests
    assert sum(request.asked.model == "w" for request in server.requests) == 8
    assert call(["show", "out", "t"]) == 0
    assert "codet()" in capsys.readouterr().out
    from tts.run import Run
    from tts.suites import Execution

    with Run.open(Path("out")) as run:
        (choice,) = run.current_choices()
        assert GOOD in (run.rollouts("t")[choice.winner].output or "")
        kinds = [record.kind for record in run.store.records(kind="execute")]
        read = [record.read(Execution) for record in run.store.records(kind="execute")]
    assert len(kinds) == 16  # eight suites on two distinct outputs
    assert {outcome.status for execution in read for outcome in execution.outcomes} == {"passed", "failed"}


def test_the_ceiling_has_the_writing_of_tests_and_a_budget_is_kept(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ModelServer(says) as server:
        asked = words("--test-writer", "openai/w", "--base-url", server.openai_url, *PRICE)
        capped = [*asked, "--max-output-tokens", "1000"]
        assert call([*capped, "--dry-run", "--json"]) == 0
        most = json.loads(capsys.readouterr().out)["ceiling"]["cost"]
        assert call([*capped, "--dry-run", "--json", "-s", "vote@4"]) == 0
        assert json.loads(capsys.readouterr().out)["ceiling"]["cost"] == most
        assert call([*capped, "--max-cost", "0.01", "--json"]) == 0
        bill = json.loads(capsys.readouterr().out)["bill"]
        assert bill["usd"] <= 0.01
    assert most["usd"] > 4 * 2 * 1000 / 1e6 + 8 * 2 * 1000 / 1e6


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--test-writer", "nobody"], "--test-writer nobody: name a model"),
        (["--tests", "none.py"], "none.py cannot be read"),
        (["--test-writer", "agent"], "needs an agent that works in a repository"),
        (["-s", "vote@4", "--tests", "tasks.jsonl"], "no strategy here selects by tests"),
    ],
)
def test_bad_input_is_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], more: list[str], told: str
) -> None:
    asked = words(*more)
    if "vote@4" in more:
        del asked[asked.index("codet@4") - 1 : asked.index("codet@4") + 1]
    assert call(asked) == 2
    err = capsys.readouterr().err
    assert told in err
    assert "Traceback" not in err
    assert not Path("out").exists()


def test_without_a_writer_the_run_says_what_is_missing(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ModelServer(says) as server:
        assert call(words("--base-url", server.openai_url)) == 2
        assert len(server.requests) == 0
    assert "needs a model or an agent that writes tests" in capsys.readouterr().err


AGENT = """
if grep -q 'Write one test' "$1"; then
  printf 'from sums import double\\nassert double(5) == 10\\n' > test_written.py
else
  case $TTS_INDEX in
    0) sed -i 's/x + 1/x + 4/' sums.py ;;
    1) sed -i 's/x + 1/x * 2/; s/return 1/return 2/' sums.py ;;
    2) sed -i 's/x + 1/x * 2/' sums.py; echo 'import os; os._exit(0)' > test_sums.py ;;
    *) sed -i 's/x + 1/x + 6/' sums.py ;;
  esac
fi
"""


def test_patches_are_chosen_by_old_tests_and_by_new_ones_that_the_agent_writes(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = place / "repo"
    repo.mkdir()
    (repo / "sums.py").write_text("def double(x):\n    return x + 1\n\n\ndef one():\n    return 1\n")
    (repo / "test_sums.py").write_text("from sums import one\n\nassert one() == 1\nprint('ok 1 - one')\n")
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    for args in (["init", "-q"], ["add", "."], ["commit", "-qm", "base"]):
        subprocess.run([*git, *args], cwd=repo, env=env, check=True)
    (place / "agent.sh").write_text(AGENT)
    asked = ["solve", "double() is wrong", "--repo", str(repo), "-s", "agentless@4", "--json"]
    asked += ["--agent-cmd", f"sh {place / 'agent.sh'} {{prompt_file}}", "--sandbox", "none"]
    asked += ["--test-cmd", "python -B test_sums.py", "--test-writer", "agent"]
    assert call(asked) == 0
    told = json.loads(capsys.readouterr().out)["winner"]
    assert "x * 2" in told["patch"]
    assert "return 2" not in told["patch"]
