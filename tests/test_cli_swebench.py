"""`tts swebench run` and `eval`: flags, predictions, trajectories, resume, grades afterwards, bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from tts.cli.main import call
from tts.cli.swebench.keeping import Predictions, file_name
from tts.cli.swebench.running import strategies_of
from tts.errors import UsageError
from tts.events import TaskEnded
from tts.run import Run
from tts.store import Store

CLEAN = {
    **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "a"),
    **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "a@b"),
}

AGENT = """
import os
import sys
import anyio
from pathlib import Path
from tts.errors import Infra
from tts.types import Rollout, Step


def _note(kind, task, what):
    with Path(os.environ["SWE_LOG"]).open("a") as file:
        file.write(f"{kind} {task.id} {what}\\n")


async def solve(task, attempt):
    _note("rollout", task, attempt.index)
    if Path(os.environ["SWE_LOG"] + ".down").exists() and task.id.endswith("1"):
        raise Infra("the machine is down")
    if Path(os.environ["SWE_LOG"] + ".wait").exists() and task.id.endswith("1"):
        print("waiting", file=sys.stderr, flush=True)
        await anyio.sleep_forever()
    if task.id.endswith("2"):
        raise RuntimeError("this agent cannot")
    attempt.record(Step("edit", "echo x > code.py", "done", returncode=0))
    if not task.id.endswith("3"):
        (attempt.workspace / "code.py").write_text(f"a = {attempt.index % 2}\\n")
    return Rollout(length=float(attempt.index))


def grade(task, rollout):
    _note("grade", task, "")
    if Path(os.environ["SWE_LOG"] + ".down").exists():
        raise Infra("no machine to grade on")
    return "+a = 1" in rollout.patch


def other_grade(task, rollout):
    return False
"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder: instances.jsonl, clones/made__up and the module of an agent and of graders."""
    clone = tmp_path / "clones" / "made__up"
    clone.mkdir(parents=True)
    (clone / "code.py").write_text("a = -1\n")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "base"]):
        subprocess.run(["git", *command], cwd=clone, env=CLEAN, check=True)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=clone, capture_output=True, text=True, check=True
    )
    rows = [instance(f"made__up-{i}", commit.stdout.strip()) for i in range(4)]
    (tmp_path / "instances.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "swe_cli_agent.py").write_text(AGENT)
    monkeypatch.setenv("SWE_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("PATH", f"{engine(tmp_path / 'dead', 'exit 1')}:{os.environ['PATH']}")
    with chdir(tmp_path):
        yield tmp_path


def engine(folder: Path, script: str) -> Path:
    """Make a folder whose `docker` does what the script says."""
    folder.mkdir()
    (folder / "docker").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "docker").chmod(0o755)
    return folder


def instance(name: str, commit: str) -> dict[str, Any]:
    return {
        "instance_id": name,
        "repo": "made/up",
        "base_commit": commit,
        "problem_statement": f"Fix {name}.",
        "patch": "GOLD",
        "test_patch": "TESTS",
        "hints_text": "HINT",
        "FAIL_TO_PASS": '["test_marked"]',
        "PASS_TO_PASS": ["test_b"],
        "version": "1",
    }


RUN = ("swebench", "run", "-o", "out", "--agent", "swe_cli_agent:solve", "--repos", "clones")
OF = ("--subset", "instances.jsonl", "--split", "test")
EVAL = ("swebench", "eval", "out", "--grader", "swe_cli_agent:grade")


def did(bench: Path, kind: str) -> list[str]:
    log = bench / "log"
    lines = log.read_text().splitlines() if log.exists() else []
    return sorted(line for line in lines if line.startswith(kind))


def preds(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("out", "preds", f"{name}.json").read_text())
    return found


def test_a_run_leaves_predictions_trajectories_and_no_truth(bench: Path) -> None:
    assert call([*RUN, *OF, "-s", "single", "-s", "vote@2"]) == 0
    found = preds("vote@2")
    assert sorted(found) == [f"made__up-{i}" for i in range(4)]
    assert "\n+a = " in found["made__up-0"]["model_patch"]
    assert found["made__up-2"]["model_patch"] == found["made__up-3"]["model_patch"] == ""
    assert {row["model_name_or_path"] for row in found.values()} == {"swe_cli_agent:solve+vote@2"}
    assert {row["model_name_or_path"] for row in preds("single").values()} == {"swe_cli_agent:solve+single"}
    trajectory = json.loads(Path("out/trajs/made__up-0/1.traj.json").read_text())
    assert trajectory["trajectory_format"] == "mini-swe-agent-1.1"
    assert "echo x > code.py" in json.dumps(trajectory["messages"])
    written = [path.read_bytes() for path in Path("out").rglob("*") if path.is_file()]
    truth = (b"GOLD", b"TESTS", b"HINT", b"test_marked")
    assert not [mark for mark in truth if any(mark in body for body in written)]


def test_the_same_folder_resumes_and_remembers_its_instances(bench: Path) -> None:
    (bench / "log.down").touch()
    assert call([*RUN, *OF, "--filter", "made__up-[012]", "--attempts", "2", "-s", "vote"]) == 1
    assert sorted(preds("vote@2")) == ["made__up-0", "made__up-2"]  # the machine failed on the other
    assert len(did(bench, "rollout")) == 6
    (bench / "log.down").unlink()
    assert call([*RUN]) == 0  # neither --subset nor -s again
    assert sorted(preds("vote@2")) == [f"made__up-{i}" for i in range(3)]
    again = did(bench, "rollout")
    assert len(again) == 8  # only what the machine failed; what the agent failed at stays
    assert [line for line in again if again.count(line) > 1] == sorted(
        ["rollout made__up-1 0", "rollout made__up-1 1"] * 2
    )
    assert call([*RUN, "--slice", "0:1", "-s", "vote@2"]) == 0
    assert sorted(preds("vote@2")) == [f"made__up-{i}" for i in range(3)]  # a part leaves the rest there
    assert len(did(bench, "rollout")) == 8


def test_what_a_budget_did_not_reach_is_no_prediction_until_it_does(bench: Path) -> None:
    assert call([*RUN, *OF, "-s", "single", "--max-rollouts", "2", "-w", "1"]) == 0
    assert len(preds("single")) == 2
    assert call([*RUN, "--max-rollouts", "4"]) == 0
    assert sorted(preds("single")) == [f"made__up-{i}" for i in range(4)]
    assert len(did(bench, "rollout")) == 4


def test_an_interrupted_run_keeps_predictions_that_can_be_read_and_says_how_to_go_on(bench: Path) -> None:
    (bench / "log.wait").touch()
    command = [sys.executable, "-m", "tts.cli.main", *RUN, *OF, "-s", "single", "-w", "1", "--grace", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = ""
        for line in process.stderr:
            told += line
            if "waiting" in line:
                process.send_signal(signal.SIGINT)
    assert process.returncode == 130, told
    assert "Resume with the same command: tts swebench run -o out" in told
    assert sorted(preds("single")) == ["made__up-0"]
    (bench / "log.wait").unlink()
    assert call([*RUN]) == 0
    assert len(preds("single")) == 4


def test_grades_come_after_selection_once_and_serve_reports(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call([*RUN, *OF, "-s", "single", "-s", "sample(2)"]) == 0
    assert did(bench, "grade") == []
    (bench / "log.down").touch()
    assert call(list(EVAL)) == 0
    told = capsys.readouterr().out
    assert "infra: made__up-0: the grader failed" in told, told
    (bench / "log.down").unlink()
    assert call([*EVAL, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    single = next(row for row in told["swebench"] if row["strategy"] == "single")
    assert (single["instances"], single["resolved"], single["empty_patch"], single["infra"]) == (4, 0, 2, 0)
    assert len(did(bench, "grade")) == 4  # two winners, tried twice
    assert call([*EVAL, "--all"]) == 0
    assert "pass@2 (oracle)" in capsys.readouterr().out
    assert len(did(bench, "grade")) == 6  # the two other patches
    for more in ([], ["--all", "-s", "pass@1"]):
        assert call([*EVAL, *more]) == 0
    assert len(did(bench, "grade")) == 6  # nothing is graded twice
    capsys.readouterr()
    assert call(["report", "out"]) == 0
    assert "pass@2" in capsys.readouterr().out
    report = json.loads(Path("out/eval/single.json").read_text())
    assert report["schema_version"] == 2
    assert report["unresolved_ids"] == ["made__up-0", "made__up-1"]
    assert report["empty_patch_ids"] == ["made__up-2", "made__up-3"]
    assert (report["total_instances"], report["submitted_instances"], report["error_ids"]) == (4, 4, [])
    assert call([*RUN]) == 0  # a resume forgets no grades
    with Run.open("out") as run:
        assert run.grades("made__up-0")


def test_a_strategy_on_a_part_of_the_tasks_keeps_the_others_grades(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call([*RUN, *OF, "-s", "single"]) == 0
    assert call([*RUN, *OF, "--slice", "0:2", "-s", "vote@2"]) == 0
    capsys.readouterr()
    assert call([*EVAL, "--json"]) == 0
    reports = {path.stem: json.loads(path.read_text()) for path in Path("out/eval").glob("*.json")}
    assert [reports[name]["submitted_instances"] for name in ("single", "vote@2")] == [4, 2]
    assert [reports[name]["infra_failure_ids"] for name in ("single", "vote@2")] == [[], []]
    assert json.loads(Path("out/swebench.json").read_text())["slice"] == "0:2"
    assert call([*RUN, *OF, "-s", "vote@2"]) == 0  # named again, the subset is whole again
    assert len(preds("vote@2")) == 4


def test_a_refused_second_process_changes_nothing(bench: Path) -> None:
    assert call([*RUN, *OF, "-s", "single", "--slice", "0:1"]) == 0
    before = Path("out/swebench.json").read_text()
    store = Store.open(Path("out"))
    try:
        assert call([*RUN, *OF, "-s", "single", "--slice", "2:3"]) == 2
    finally:
        store.close()
    assert Path("out/swebench.json").read_text() == before


def test_a_changed_grader_says_so_and_grades_anew(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call([*RUN, *OF, "-s", "single"]) == 0
    assert call(list(EVAL)) == 0
    capsys.readouterr()
    assert call(["swebench", "eval", "out", "--grader", "swe_cli_agent:other_grade"]) == 0
    captured = capsys.readouterr()
    assert "the grader has changed" in captured.err
    assert "2 outputs graded now" in captured.out


def test_a_file_of_predictions_is_graded_without_a_run(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {f"made__up-{i}": {"instance_id": f"made__up-{i}", "model_name_or_path": "m"} for i in range(3)}
    for row, patch in zip(rows.values(), ("+a = 1\n", "+a = 0\n", ""), strict=True):
        row["model_patch"] = patch
    Path("mine.json").write_text(json.dumps(rows))
    command = ["swebench", "eval", "--predictions", "mine.json", *OF, "--grader", "swe_cli_agent:grade"]
    assert call([*command, "-o", "report.json"]) == 0
    told = capsys.readouterr().out
    assert "made__up-0: resolved\nmade__up-1: unresolved\nmade__up-2: empty patch\n" in told
    report = json.loads(Path("report.json").read_text())
    assert (report["resolved_ids"], report["empty_patch_ids"]) == (["made__up-0"], ["made__up-2"])
    assert len(did(bench, "grade")) == 2


def test_a_pool_is_selected_among_and_must_be_large_enough(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {f"made__up-{i}": {"instance_id": f"made__up-{i}", "model_patch": "+a = 0\n"} for i in range(2)}
    Path("a.json").write_text(json.dumps(rows))
    Path("b.json").write_text(
        json.dumps({name: row | {"model_patch": "+b = 1\n"} for name, row in rows.items()})
    )
    assert call(["swebench", "import", "a.json", "b.json", "-o", "pool"]) == 0
    command = ["swebench", "run", *OF, "--agent", "pool:pool", "-o", "out"]
    capsys.readouterr()
    assert call([*command, "--attempts", "3"]) == 2
    assert "the pool has 2 of made__up-0: give --attempts 2" in capsys.readouterr().err
    assert call([*command, "-s", "sample(1) | refine(1)"]) == 2
    assert "makes new attempts from earlier ones, which a pool cannot" in capsys.readouterr().err
    assert call([*command, "--filter", "made__up-3"]) == 2
    assert "attempts of none of the chosen instances" in capsys.readouterr().err
    assert call([*command, "--filter", "", "--attempts", "2"]) == 0
    assert "2 instances left out" in capsys.readouterr().err
    assert {row["model_patch"] for row in preds("rtv@2").values()} <= {"+a = 0\n", "+b = 1\n"}
    assert preds("rtv@2")["made__up-0"]["model_name_or_path"] == "pool:pool+rtv@2"


def test_a_dry_run_pays_and_writes_nothing(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call([*RUN, *OF, "--attempts", "4", "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("At most 16 rollouts, 16 summaries, ")
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("given", "attempts", "run"),
    [
        ((), None, ("single",)),
        ((), 1, ("single",)),
        ((), 16, ("rtv@16",)),
        (("rtv", "short-3", "single"), 8, ("rtv@8", "short-3@8", "single")),
        (("vote@4", "sample(2)"), 8, ("vote@4", "sample(2)")),
        (("rtv",), None, ("rtv",)),
    ],
)
def test_attempts_number_the_strategies_without_a_number(
    given: tuple[str, ...], attempts: int | None, run: tuple[str, ...], tmp_path: Path
) -> None:
    assert strategies_of(given, attempts, tmp_path) == run


def test_an_oracle_is_told_where_it_belongs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="eval RUN --all -s pass@8"):
        strategies_of(["single", "pass@8"], None, tmp_path)


def test_file_names_are_safe_and_differ() -> None:
    assert file_name("pdr-rtv@16") == "pdr-rtv@16"
    odd = [
        file_name(text) for text in ("sample(6) | rtv()", "sample(6)  | rtv()", "../x", ".", "a/b", "é" * 300)
    ]
    assert len(set(odd)) == len(odd)
    assert not [name for name in odd if "/" in name or name.startswith(".") or len(name) > 100]


def test_predictions_are_written_now_and_then_and_not_for_every_task(bench: Path) -> None:
    assert call([*RUN, *OF, "-s", "single"]) == 0
    now = [0.0]

    def clock() -> float:
        now[0] += 1.0  # a write takes one second on this clock
        return now[0]

    with Run.open("out") as run:
        keeper = Predictions(run, Path("out/preds"), ["single"], "m", clock)
        for _ in range(200):
            keeper(TaskEnded("made__up-0"))
        assert 5 <= keeper.n_written <= 12  # a twentieth of the time
    assert len(preds("single")) == 4


def test_a_killed_run_resumes_without_doing_again_what_ended(bench: Path) -> None:
    command = [sys.executable, "-m", "tts.cli.main", *RUN, *OF, "-s", "vote@4", "-w", "1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while len(did(bench, "rollout")) < 6:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    before = set(did(bench, "rollout"))
    with Run.open("out") as run:
        done = {f"rollout {r.task_id} {r.index}" for r in run.rollouts().values()}
    assert call([*RUN, "-s", "vote@4", "--filter", ""]) == 0
    lines = did(bench, "rollout")
    assert {line for line in lines if lines.count(line) > 1} <= before - done
    assert sorted(preds("vote@4")) == [f"made__up-{i}" for i in range(4)]


def bad_inputs() -> dict[str, tuple[list[str], str]]:
    run, evaluate = [*RUN, *OF], ["swebench", "eval"]
    mini = ["swebench", "run", *OF, "-o", "out", "--repos", "clones"]
    return {
        "subset": ([*RUN, "--subset", "absent.jsonl"], "absent.jsonl"),
        "none left": ([*run, "--filter", "nope"], "nope"),
        "slice": ([*run, "--slice", "x"], "'x'"),
        "strategy": ([*run, "-s", "rvt@4"], "did you mean 'rtv'?"),
        "oracle": ([*run, "-s", "pass@4"], "tts swebench eval"),
        "no model": (mini, "give -m PROVIDER/NAME"),
        "two agents": ([*run, "--agent-cmd", "x"], "exclude each other"),
        "model as agent": ([*mini, "--agent", "openai/gpt-5"], "name it with -m"),
        "no variable": ([*mini, "--agent-cmd", "x", "--pass-env", "UNSET_HERE"], "this variable is not set"),
        "no mount": ([*mini, "--agent-cmd", "x", "--mount", "absent"], "absent"),
        "no sandbox": ([*mini, "--agent-cmd", "x", "--sandbox", "box"], "there is no sandbox 'box'"),
        "foreign flag": ([*mini, "-m", "openai/m", "--sandbox", "none"], "--environment-class says"),
        "no agent": ([*mini, "--agent", "nobody"], "there is no agent 'nobody'"),
        "no pool": ([*mini, "--agent", "pool:absent"], "there is no folder absent"),
        "no judge": ([*run, "-s", "rtv@2", "--judge", "nobody"], "there is no judge 'nobody'"),
        "foreign judge": ([*run, "-s", "rtv@2", "-m", "gemini/x"], "name a --judge"),
        "unheard": ([*run, "-c", "x.yaml"], "-c is for mini-swe-agent"),
        "no clone": ([*run, "--repos", "."], "has no clone of made/up"),
        "redo": ([*run, "--redo-existing"], "give another --seed"),
        "no bound": ([*run, "--max-cost", "1"], "--rollout-usd"),
        "no run": ([*evaluate, "absent", "--grader", "swe_cli_agent:grade"], "absent"),
        "nothing": (evaluate, "give the folder of a run, or --predictions"),
        "oracle alone": ([*evaluate, "done", "-s", "pass@2"], "add --all"),
        "no oracle": ([*evaluate, "done", "--all", "-s", "rtv@2"], "an oracle such as pass@8"),
        "no recipe": ([*evaluate, "done", "--harness", "local"], "there is no recipe for made__up-0"),
        "no engine": ([*evaluate, "done", "--harness", "docker"], "no Docker engine answers"),
        "other data": ([*evaluate, "done", "--subset", "other.jsonl"], "has no instance made__up-0"),
        "other subset": (
            ["swebench", "run", *RUN[4:], "-o", "done", "--subset", "other.jsonl"],
            "another -o is needed for",
        ),
    }


def test_bad_input_gives_one_line_and_code_2(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["swebench", "run", *RUN[4:], *OF, "-o", "done", "-s", "single", "--slice", "0:1"]) == 0
    Path("other.jsonl").write_text(json.dumps(instance("other__one-1", "0" * 40)))
    capsys.readouterr()
    for name, (arguments, told) in bad_inputs().items():
        code = call(arguments)
        captured = capsys.readouterr()
        assert code == 2, f"{name}: {captured.err}"
        assert captured.err.startswith("error: "), name
        assert told in captured.err, f"{name}: {captured.err}"
        assert captured.err.count("\n") == 1, f"{name}: {captured.err}"
        assert captured.out == "", name
    assert not Path("out").exists()


def test_where_an_engine_answers_options_of_the_local_grader_are_not_passed_over(
    bench: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call([*RUN, *OF, "-s", "single", "--slice", "0:1"]) == 0
    monkeypatch.setenv("PATH", f"{engine(bench / 'alive', 'echo 1.0')}:{os.environ['PATH']}")
    capsys.readouterr()
    for flag in (
        ["--repeats", "2"],
        ["--sandbox", "none"],
        ["--test-network"],
        ["--recipes", "instances.jsonl"],
    ):
        assert call(["swebench", "eval", "out", *flag]) == 2
        assert f"{flag[0]} is for --harness local" in capsys.readouterr().err


def test_help_has_groups_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["swebench"]) == 0
    assert "eval" in capsys.readouterr().out
    for command in ("run", "eval", "import"):
        assert call(["swebench", command, "--help"]) == 0
        told = capsys.readouterr().out
        assert ("Instances:" in told) == (command != "import")
        assert f"  tts swebench {command}" in told.split("Examples:")[1]
