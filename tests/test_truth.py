"""The truth of an instance reaches nobody who attempts, summarizes or selects, nor what they leave."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import sqlite3
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import chdir, closing
from pathlib import Path
from typing import Any

import pytest

from tts.cli.main import call
from tts.packing import trajectory
from tts.run import Run
from tts.testing.provider import Asked, ModelServer, Says, ToolCall, default_script

CLEAN = {
    **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "a"),
    **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "a@b"),
}

MARK = re.compile(rb"TRUTHMARK\w*")
"""What every field of the truth carries, and nothing else does."""

BAIT = b"PUBLICMARK"
"""What the task itself carries: a scan that does not find it looks in the wrong place."""

AGENT = """
import os, subprocess
from pathlib import Path
from tts.run import Run
from tts.types import Rollout, Step

def _everything(folder):
    files = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    command = ["git", "cat-file", "--batch-all-objects", "--batch"]
    return files + subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout


async def solve(task, attempt):
    lent = repr((task, attempt.priors, attempt.limits, dict(os.environ))).encode()
    seen = Path(os.environ["TRUTH_SEEN"], f"{len(attempt.priors)}-{attempt.index}")
    seen.write_bytes(lent + _everything(attempt.workspace))
    attempt.record(Step("look", "cat code.py", "a = -1", returncode=0))
    (attempt.workspace / "code.py").write_text(f"a = {attempt.index}\\n")
    return Rollout(length=1.0)


def grade(task, rollout):
    with Run.open("out") as run:
        chosen = {c.strategy for c in run.choices() if c.task_id == task.id and c.winner}
    assert chosen == set(run_strategies()), chosen
    from tts.types import Grade
    return Grade(resolved=True, score=1.0, detail="TRUTHMARKdetail", outcome="resolved")


def run_strategies():
    return os.environ["TRUTH_STRATEGIES"].split(",")
"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder: an instance whose truth is marked, and a clone whose later history is too."""
    clone = tmp_path / "clones" / "made__up"
    clone.mkdir(parents=True)
    (clone / "code.py").write_text(f"a = -1  # {BAIT.decode()}file\n")
    git(clone, "init", "-q", "-b", "trunk")
    commit = committed(clone, "base")
    (clone / "code.py").write_text("a = 1  # TRUTHMARKfix\n")
    (clone / "test_code.py").write_text("TRUTHMARKtest\n")
    committed(clone, "TRUTHMARKmessage")
    git(clone, "tag", "TRUTHMARKtag")
    git(clone, "branch", "TRUTHMARKbranch")
    hidden = {
        "patch": "TRUTHMARKgold",
        "test_patch": "TRUTHMARKtests",
        "hints_text": "TRUTHMARKhint",
        "FAIL_TO_PASS": json.dumps(["TRUTHMARKfail"]),
        "PASS_TO_PASS": ["TRUTHMARKpass"],
        "environment_setup_commit": "TRUTHMARKsetup",
        "version": "TRUTHMARKversion",
        "unheard_of": "TRUTHMARKunknown",
        "local": {"python": "3.11", "test_cmd": "TRUTHMARKcommand", "install": ["TRUTHMARKinstall"]},
    }
    told = {"instance_id": "made__up-1", "repo": "made/up", "base_commit": commit}
    row = told | {"problem_statement": f"Fix it: {BAIT.decode()}prompt."} | hidden
    (tmp_path / "instances.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "seen").mkdir()
    (tmp_path / "truth_agent.py").write_text(AGENT)
    monkeypatch.setenv("TRUTH_SEEN", str(tmp_path / "seen"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-this-test")
    with chdir(tmp_path):
        yield tmp_path


def git(place: Path, *command: str) -> str:
    done = subprocess.run(["git", *command], cwd=place, env=CLEAN, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def committed(place: Path, message: str) -> str:
    git(place, "add", ".")
    git(place, "commit", "-qm", message)
    return git(place, "rev-parse", "HEAD")


OF = ("--subset", "instances.jsonl", "--split", "test", "--repos", "clones", "-o", "out")
SCRIPTED = ("swebench", "run", *OF, "--agent", "truth_agent:solve")


def left(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of a run, and every value of its database, unpacked."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()
    with closing(sqlite3.connect(folder / "run.db")) as connection:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        for table in tables:
            for row in connection.execute(f"SELECT * FROM {table}"):
                steps = [trajectory(connection, row[0])] if table == "trajectories" else []
                yield f"run.db: {table}", b"\n".join(map(unpacked, (*row, *steps)))


def unpacked(value: Any) -> bytes:
    if not isinstance(value, bytes):
        return str(value).encode()
    try:
        return zlib.decompress(value)
    except zlib.error:
        return value


def found(places: Iterator[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Return where the truth is; the bait must be there, or the scan would prove nothing."""
    listed = list(places)
    assert any(BAIT in body for _, body in listed)
    return [(place, mark) for place, body in listed for mark in MARK.findall(body)]


def asked(server: ModelServer) -> Iterator[tuple[str, bytes]]:
    for request in server.requests:
        assert request.asked is not None
        yield f"request {request.index}", json.dumps(request.asked.body).encode()


def seen() -> Iterator[tuple[str, bytes]]:
    return ((str(path), path.read_bytes()) for path in Path("seen").iterdir())


def test_the_scan_finds_what_is_there(bench: Path) -> None:
    marks = {mark for _, mark in found(iter([("file", (bench / "instances.jsonl").read_bytes())]))}
    assert len(marks) == 10


def test_neither_agent_nor_evidence_nor_what_is_kept_has_the_truth(
    bench: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    assert call([*SCRIPTED, "-s", "pdr-rtv@2", "-s", "vote@2"]) == 0
    assert sorted(path.name for path in Path("seen").iterdir()) == ["0-0", "0-1", "2-0", "2-1"]
    assert found(seen()) == []
    assert found(left(Path("out"))) == []
    assert sorted(path.name for path in Path("out/preds").iterdir()) == ["pdr-rtv@2.json", "vote@2.json"]
    assert len(list(Path("out/trajs").rglob("*.traj.json"))) == 4
    told = capfd.readouterr()
    assert not MARK.findall((caplog.text + told.out + told.err).encode())


def test_no_prompt_of_a_summarizer_or_judge_has_the_truth_even_after_grading(
    bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUTH_STRATEGIES", "rtv@2")
    with ModelServer(default_script) as server:
        roles = ("--judge", "openai/j", "--summarizer", "openai/s", "--base-url", server.openai_url)
        assert call([*SCRIPTED, *roles, "-s", "rtv@2"]) == 0
        assert found(asked(server)) == []
        assert found(left(Path("out"))) == []
        n_asked = len(server.requests)
        assert call(["swebench", "eval", "out", "--grader", "truth_agent:grade", "--all"]) == 0
        assert len(server.requests) == n_asked
        assert MARK.search(b"".join(body for _, body in left(Path("out"))))  # grades may tell
        assert call([*SCRIPTED, *roles, "-s", "rtv@2", "-s", "pdr-rtv@2"]) == 0
        assert len(server.requests) > n_asked
        assert found(asked(server)) == []
        assert found(seen()) == []


def test_a_grader_is_asked_when_every_strategy_has_chosen(
    bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUTH_STRATEGIES", "single,vote@2,rtv@2")
    assert call([*SCRIPTED, "-s", "single", "-s", "vote@2", "-s", "rtv@2"]) == 0
    with Run.open("out") as run:
        assert run.grades("made__up-1") == {}
    assert call(["swebench", "eval", "out", "--grader", "truth_agent:grade", "--all"]) == 0
    with Run.open("out") as run:
        assert {grade.outcome for grade in run.grades("made__up-1").values()} == {"resolved"}


LOOK = """{ env; cat /proc/self/mountinfo; tr '\\0' '\\n' < /proc/1/environ;
find . "$HOME" -type f -exec cat {} +; git cat-file --batch-all-objects --batch; git log --all -p;
git fsck --lost-found; cat INSTANCES; ls -laR -I .venv /tmp;
find / -maxdepth 4 -name 'instances.jsonl' -not -path '/proc/*'; } > /tmp/all 2>&1
tr -cd '\\11\\12\\40-\\176' < /tmp/all > looked.txt; echo "a = 1" > code.py"""
"""Writes all that a command can find into a file that becomes part of the patch."""

SUBMIT = "git add -A; echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT && git diff --cached"


def curious(bench: Path, looked: list[str]) -> Any:
    """The script of a model that looks everywhere and then hands in."""
    look = LOOK.replace("INSTANCES", str(bench / "instances.jsonl"))

    def script(question: Asked) -> Says:
        if question.schema is not None:
            return default_script(question)
        n_turns = sum(message.get("role") == "assistant" for message in question.body["messages"])
        looked.append(question.prompt)
        return Says("Look.", calls=[ToolCall("bash", json.dumps({"command": SUBMIT if n_turns else look}))])

    return script


@pytest.mark.thorough
@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_mini_swe_agent_in_its_sandbox_finds_no_truth(bench: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("minisweagent")
    caplog.set_level(logging.DEBUG)
    looked: list[str] = []
    with ModelServer(curious(bench, looked)) as server:
        model = ("-m", "openai/m", "--base-url", server.openai_url, "--environment-class", "bubblewrap")
        assert call(["swebench", "run", *OF, *model, "-s", "pdr-rtv@2"]) == 0
        assert found(asked(server)) == []
    assert looked
    assert found(left(Path("out"))) == []
    patch = json.loads(Path("out/preds/pdr-rtv@2.json").read_text())["made__up-1"]["model_patch"]
    assert "looked.txt" in patch
    assert f"{BAIT.decode()}file" in patch
    assert "sk-of-this-test" not in patch
    assert len(list(Path("out/trajs").rglob("*.traj.json"))) == 4
    assert not MARK.findall(caplog.text.encode())


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_a_command_in_its_sandbox_finds_no_truth(bench: Path) -> None:
    look = LOOK.replace("INSTANCES", str(bench / "instances.jsonl"))
    (bench / "look.sh").write_text(f'cat "$1" > asked.txt\n{look}\n')
    mount = ("--mount", f"{bench / 'look.sh'}:/opt/look.sh")
    command = ("--agent-cmd", "sh /opt/look.sh {prompt_file}", *mount)
    assert call(["swebench", "run", *OF, *command, "-s", "pdr-rtv@2"]) == 0
    assert found(left(Path("out"))) == []
    patch = json.loads(Path("out/preds/pdr-rtv@2.json").read_text())["made__up-1"]["model_patch"]
    assert "looked.txt" in patch
    assert f"{BAIT.decode()}prompt" in patch
