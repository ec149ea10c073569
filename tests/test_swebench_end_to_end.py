"""SWE-bench from the command line, whole: mini-swe-agent, a tournament, a kill, a resume, and the grades."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

from tts.run import Run
from tts.testing.provider import ModelServer, Says
from tts.testing.provider.script import Asked, ToolCall
from tts.types import Rollout

LACKING = [name for name in ("minisweagent", "swebench") if find_spec(name) is None]
LACKING += ["bubblewrap"] * (shutil.which("bwrap") is None)
pytestmark = [
    pytest.mark.skipif(bool(LACKING), reason=f"not installed: {', '.join(LACKING)}"),
    pytest.mark.thorough,
]

ATTEMPTS = 8
BUG = "def double(x):\n    return x + 1\n"
TEST = "from sums import double\n\n\ndef test_three():\n    assert double(3) == 6\n"
RIGHT = "sed -i 's/x + 1/x * 2/' sums.py"
WRONG = "sed -i 's/x + 1/x + 2/' sums.py"
CHECK = "python -c 'import sums; assert sums.double(3) == 6'"
HAND_IN = (
    "git diff -- sums.py > patch.txt",
    "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT && cat patch.txt",
)
GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]


class Repairing:
    """The model by script: one of four first attempts repairs the bug rightly, refined ones all do."""

    def __init__(self) -> None:
        self.begun = Counter[str]()
        self.n_repairs = 0
        self.half_way = threading.Event()
        self.lock = threading.Lock()

    def __call__(self, asked: Asked) -> Says:
        turn = sum(role == "assistant" for role, _ in asked.messages)
        refined = "Files modified" in asked.prompt  # a summary of an earlier attempt
        with self.lock:
            self.begun["refined" if refined else "first"] += turn == 0
            self.n_repairs += turn == 1
            right = refined or self.n_repairs % 4 == 0
            if self.begun["refined"] >= ATTEMPTS // 2:
                self.half_way.set()
        commands = ["cat sums.py", RIGHT if right else WRONG, CHECK, *HAND_IN]
        command = commands[min(turn, len(commands) - 1)]
        return Says(f"Next: {command}", calls=[ToolCall("bash", json.dumps({"command": command}))])


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    """A repository in a folder of mirrors, and one instance of it in a file of instances."""
    place = tmp_path / "repos" / "acme__sums"
    place.mkdir(parents=True)
    (place / "sums.py").write_text(BUG)
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "base"]):
        subprocess.run([*GIT, *command], cwd=place, check=True)
    base = subprocess.run([*GIT, "rev-parse", "HEAD"], cwd=place, check=True, capture_output=True, text=True)
    row = {
        "instance_id": "acme__sums-1",
        "repo": "acme/sums",
        "base_commit": base.stdout.strip(),
        "problem_statement": "double(3) gives 4, and should give 6.",
        "patch": _diff(BUG, BUG.replace("x + 1", "x * 2")),
        "test_patch": _added("tests/test_sums.py", TEST),
        "hints_text": "",
        "version": "1.0",
        "FAIL_TO_PASS": '["tests/test_sums.py::test_three"]',
        "PASS_TO_PASS": "[]",
        "local": {
            "python": f"{sys.version_info.major}.{sys.version_info.minor}",
            "install": [_BORROW],
            "test_cmd": "PYTHONPATH=. python -m pytest -rA -p no:cacheprovider tests/test_sums.py",
            "log_parser": "parse_log_pytest",
            "eval_type": "pass_and_fail",
        },
    }
    path = tmp_path / "instances.jsonl"
    path.write_text(json.dumps(row) + "\n")
    return path


_BORROW = (
    "python -c \"import sysconfig, pathlib; pathlib.Path(sysconfig.get_path('purelib'), 'borrowed.pth')"
    f'.write_text({str(Path(pytest.__file__).parent.parent)!r} + chr(10))"'
)
"""Lends the venv of an instance this interpreter's pytest, so that nothing is downloaded."""


def _diff(old: str, new: str) -> str:
    minus, plus = (text.splitlines()[1] for text in (old, new))
    return (
        "diff --git a/sums.py b/sums.py\n--- a/sums.py\n+++ b/sums.py\n@@ -1,2 +1,2 @@\n def double(x):\n"
        f"-{minus}\n+{plus}\n"
    )


def _added(name: str, text: str) -> str:
    lines = text.splitlines()
    head = f"diff --git a/{name} b/{name}\nnew file mode 100644\n--- /dev/null\n+++ b/{name}\n"
    return head + f"@@ -0,0 +1,{len(lines)} @@\n" + "".join(f"+{line}\n" for line in lines)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "tts", "swebench", *map(str, arguments)]


def finished(place: Path) -> dict[str, Rollout]:
    with Run.open(place) as run:
        records = list(run.store.records(kind="rollout"))
        return {r.key: r.read(Rollout) for r in records if r.result is not None}


def test_killed_half_way_a_refined_tournament_resumes_and_its_winner_is_resolved(
    tmp_path: Path, instance: Path
) -> None:
    place = tmp_path / "out"
    model = Repairing()
    with ModelServer(model, models=["m"]) as server:
        environment = {
            **os.environ,
            **server.environment,
            "OPENAI_API_KEY": "sk-scripted-0123456789",
            "HOME": str(tmp_path),
        }
        run = command("run", "--subset", instance, "--repos", tmp_path / "repos", "-o", place)
        run += ["-m", "openai/m", "--base-url", server.openai_url, "--price", "1,2", "-w", "4"]
        run += ["-s", f"pdr-rtv@{ATTEMPTS}", "--judge", "evidence", "--summarizer", "extractive", "--json"]
        process = subprocess.Popen(run, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert model.half_way.wait(120), process.communicate(timeout=5)
        process.kill()
        process.communicate()
        before = finished(place)
        assert len(before) >= ATTEMPTS
        asked = dict(model.begun)

        done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
        after = finished(place)

    assert before.items() <= after.items()
    assert len(after) == 2 * ATTEMPTS
    assert {rollout.status for rollout in after.values()} == {"finished"}
    again = sum(model.begun.values()) - sum(asked.values())
    assert again == 2 * ATTEMPTS - len(before)  # no finished attempt was repeated

    (preds,) = (place / "preds").glob("*.json")
    prediction = json.loads(preds.read_text())["acme__sums-1"]
    assert prediction["model_patch"].startswith("diff --git a/sums.py b/sums.py")
    assert "patch.txt" not in prediction["model_patch"]
    assert len(list((place / "trajs" / "acme__sums-1").glob("*.traj.json"))) == 2 * ATTEMPTS

    graded = subprocess.run(
        command("eval", place, "--harness", "local", "--all", "--json"),
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert graded.returncode == 0, graded.stderr
    with Run.open(place) as found:
        figures = {strategy.name: strategy.accuracy for strategy in found.comparison().strategies}
    assert figures[f"pdr-rtv@{ATTEMPTS}"] == 1.0
    grades = json.loads(graded.stdout)
    assert grades["strategies"]
