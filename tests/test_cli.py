from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from tts.cli.demo import presets
from tts.cli.main import call
from tts.cli.progress import Tally
from tts.events import Ended, Noticed
from tts.report.facts import report_of_run
from tts.run import Run
from tts.store import Store
from tts.types import Usage

AGENT = "tts.testing:ScriptedAgent"
SCRIPTED = (
    "--agent",
    AGENT,
    "--judge",
    "tts.testing:ScriptedJudge",
    "--summarizer",
    "tts.testing:ScriptedSummarizer",
)
STRATEGIES = ("-s", "single", "-s", "vote@3", "-s", "rtv@4", "-s", "pass@4")


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    rows = [
        {"id": f"t{i}", "prompt": "Count.", "expected": f"t{i}: 3", "metadata": {"kind": i % 2}}
        for i in range(3)
    ]
    return jsonl(tmp_path / "tasks.jsonl", rows)


@pytest.fixture
def place(tmp_path: Path, tasks: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert call(["run", "--tasks", str(tasks), *SCRIPTED, *STRATEGIES, "-o", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    return tmp_path / "run"


def test_help_of_every_command_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("demo", "run", "show", "replay", "report", "strategies"):
        assert call([command, "--help"]) == 0
        assert f"  tts {command}" in capsys.readouterr().out.split("Examples:")[1]


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert call([]) == 0
    assert "Commands:" in capsys.readouterr().out


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["--version"]) == 0
    assert re.fullmatch(r"tts \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_starting_up_loads_nothing_heavy() -> None:
    heavy = "anyio asyncio networkx numpy pydantic rich scipy sqlite3"
    code = f"import sys, tts.cli.main; print([m for m in {heavy.split()} if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


def test_a_run_prints_its_comparison_and_a_second_one_repeats_nothing(
    tmp_path: Path, tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", "--tasks", str(tasks), *SCRIPTED, *STRATEGIES, "-o", str(tmp_path / "run")]
    assert call(command) == 0
    out = capsys.readouterr().out
    assert re.search(r"rtv@4 +100\.0 ± 0\.0", out)
    assert "pass@4 (oracle)" in out
    assert "12 rollouts run, 0 found in" in out
    assert f"tts show {tmp_path / 'run'}" in out
    assert call(command) == 0
    assert "0 rollouts run, 12 found in" in capsys.readouterr().out


def test_json_is_one_document_and_nothing_else(
    tmp_path: Path, tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = str(tmp_path / "run")
    assert call(["run", "--tasks", str(tasks), *SCRIPTED, *STRATEGIES, "-o", place, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert call(["report", place, "--format", "json"]) == 0
    later = json.loads(capsys.readouterr().out)
    assert later.pop("study")["duels"][0]["a"] == "single"
    assert later == first
    assert [s["name"] for s in first["strategies"]] == ["single", "vote@3", "rtv@4", "pass@4"]
    assert [s["oracle"] for s in first["strategies"]] == [False, False, False, True]
    assert first["bill"]["rollouts"]["finished"] == 12


def test_a_dry_run_prints_the_ceiling_and_runs_nothing(
    tmp_path: Path, tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "run"
    command = ["run", "--tasks", str(tasks), *SCRIPTED, *STRATEGIES, "-o", str(place), "--dry-run"]
    bounds = ["--rollout-usd", "0.5", "--max-cost", "4"]
    assert call([*command, *bounds]) == 0
    out = capsys.readouterr().out
    assert out.startswith("At most 12 rollouts, 12 summaries, ")
    assert "$6.00" in out
    assert "stops at $4.00" in out
    assert call([*command, *bounds, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ceiling"]["rollouts"], found["ceiling"]["cost"]["usd"], found["budget"]["usd"]) == (
        12,
        6.0,
        4.0,
    )
    assert not place.exists()


def test_the_ceiling_is_printed_before_a_run_that_can_cost(
    tmp_path: Path, tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", "--tasks", str(tasks), *SCRIPTED, "-s", "single", "-o", str(tmp_path / "run")]
    assert call([*command, "--rollout-tokens", "500"]) == 0
    assert "At most 3 rollouts" in capsys.readouterr().err


def test_a_plain_function_in_the_current_folder_is_an_agent(
    tmp_path: Path, tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cli_plain_agent.py").write_text("def solve(task):\n    return f'{task.id}: 3'\n")
    with chdir(tmp_path):
        assert (
            call(["run", "--tasks", "tasks.jsonl", "--agent", "cli_plain_agent:solve", "-s", "single"]) == 0
        )
    assert re.search(r"single +100\.0", capsys.readouterr().out)
    assert (tmp_path / "runs" / "tasks" / "run.db").exists()


def test_a_grader_function_takes_the_place_of_expected_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = jsonl(tmp_path / "bare.jsonl", [{"id": 1, "prompt": "Count."}, {"id": 2, "prompt": "Count."}])
    (tmp_path / "cli_grader.py").write_text("def half(task, rollout):\n    return 0.5\n")
    with chdir(tmp_path):
        command = [
            "run",
            "--tasks",
            str(file),
            *SCRIPTED,
            "-s",
            "single",
            "--grader",
            "cli_grader:half",
        ]
        assert call(command) == 0
    assert call(["show", str(tmp_path / "runs" / "bare"), "1"]) == 0
    assert "score 0.50" in capsys.readouterr().out


def test_show_lists_tasks_and_tells_one_by_its_beginning(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["show", str(place)]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[3].split() == ["t0", "✗", "✗", "✓"]
    assert call(["show", str(place), "t1", "--strategy", "rtv@4", "--steps", "1"]) == 0
    out = capsys.readouterr().out
    assert "├─ #3 ✓" in out
    assert "t1: 3" in out
    assert "its last step" in out


def test_a_report_goes_to_a_file_without_colours(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for how, start in (
        ("markdown", "**Accuracy, 3 tasks**"),
        ("terminal", "Accuracy, 3 tasks"),
        ("json", "{"),
    ):
        file = tmp_path / f"report.{how}"
        assert call(["report", str(place), "--format", how, "-o", str(file)]) == 0
        assert file.read_text(encoding="utf-8").startswith(start)
        assert "\x1b" not in file.read_text(encoding="utf-8")
    assert capsys.readouterr().out == ""


def test_errors_can_be_clustered(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["report", str(place), "--format", "json", "--group", "kind"]) == 0
    assert [t["group"] for t in json.loads(capsys.readouterr().out)["tasks"]] == ["0", "1", "0"]


def test_readers_work_on_an_open_run_and_a_second_writer_is_refused(
    place: Path, tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store.open(place)
    try:
        assert call(["report", str(place)]) == 0
        assert call(["show", str(place), "t2"]) == 0
        capsys.readouterr()
        assert call(["run", "--tasks", str(tasks), *SCRIPTED, *STRATEGIES, "-o", str(place)]) == 2
    finally:
        store.close()
    assert "open in another process" in capsys.readouterr().err


def test_a_live_run_with_nothing_chosen_yet_is_readable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store.open(tmp_path / "live")
    try:
        assert call(["report", str(tmp_path / "live")]) == 0
        assert "Nothing is graded" in capsys.readouterr().out
        assert call(["show", str(tmp_path / "live")]) == 0
    finally:
        store.close()


POOL = [
    {
        "task_id": f"p{t}",
        "sample": i,
        "answer": str(min(i, 2)),
        "correct": i >= 2 and t != 2,
        "length": 10 + i,
    }
    for t in range(4)
    for i in range(5)
]


def test_replay_gives_expectations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pool = str(jsonl(tmp_path / "pool.jsonl", POOL))
    names = ["single", "vote@5", "short-1@5", "pass@5"]
    command = ["replay", pool, *(part for name in names for part in ("-s", name))]
    assert call([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [s["name"] for s in found["strategies"]] == names
    assert [s["accuracy"] for s in found["strategies"]] == pytest.approx([0.45, 0.75, 0.0, 0.75])
    assert "bill" not in found
    assert call([*command, "--markdown"]) == 0
    assert "| vote@5 | 75.0 ± 25.0 |" in capsys.readouterr().out
    assert call(command) == 0
    assert "pass@5 (oracle)" in capsys.readouterr().out


def test_replay_shows_the_error_of_what_was_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pool = str(jsonl(tmp_path / "pool.jsonl", [{**row, "sample": row["sample"]} for row in POOL]))
    command = ["replay", pool, "-s", "sample(2) | vote(ties='random')", "-s", "pass@2", "--draws", "20"]
    assert call(command) == 0
    assert "drawn ±" in capsys.readouterr().out


def test_strategies_lists_what_can_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["strategies"]) == 0
    out = capsys.readouterr().out
    assert "rtv(keep=1, group=2, votes=8" in out
    assert "sample(16) | rtv(keep=4) | refine(16) | rtv()" in out
    assert "pass@k (oracle)" in out
    assert call(["strategies", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "evidence" in [entry["name"] for entry in found["judges"]]


def bad_inputs(folder: Path) -> dict[str, tuple[list[str], str]]:
    tasks, run = str(folder / "tasks.jsonl"), ["run", "--agent", AGENT]
    files = {
        "no-json": "{",
        "no-prompt": '{"id": "a"}',
        "typo": '{"id": "a", "promt": "x"}',
        "twice": '{"id": "a", "prompt": "x"}\n{"id": "a", "prompt": "y"}',
        "bad-id": '{"id": "a\\u001b[2J", "prompt": "x"}',
        "bad-metadata": '{"id": "a", "prompt": "x", "metadata": 3}',
        "empty": "\n",
        "some-truth": '{"id": "a", "prompt": "x", "expected": 1}\n{"id": "b", "prompt": "y"}',
    }
    for name, content in files.items():
        (folder / f"{name}.jsonl").write_text(content)
    (folder / "not-a-run").mkdir()
    (folder / "not-a-run" / "run.db").write_text("no database " * 20)

    def of(name: str) -> list[str]:
        return [*run, "--tasks", str(folder / f"{name}.jsonl"), "-s", "single"]

    def by(agent: str) -> list[str]:
        return ["run", "--tasks", tasks, "--agent", agent, "-s", "single"]

    return {
        "option": (["run", "--nope"], "see `tts run --help`"),
        "command": (["nope"], "No such command"),
        "missing option": (["run", "-s", "single"], "Missing option"),
        "range": (["demo", "--n", "0"], "--n"),
        "no strategy": ([*run, "--tasks", tasks], "no strategy was given"),
        "strategy": ([*run, "--tasks", tasks, "-s", "singel"], "did you mean 'single'?"),
        "stage": ([*run, "--tasks", tasks, "-s", "sample(6) | rtv(kep=1)"], "at column 13"),
        "only estimators": ([*run, "--tasks", tasks, "-s", "pass@4"], "only estimators"),
        "no file": (of("absent"), "No such file"),
        "no json": (of("no-json"), "no-json.jsonl, line 1: not a JSON object"),
        "no prompt": (of("no-prompt"), "line 1: prompt is missing"),
        "typo": (of("typo"), "there is no field 'promt'; a task has id, prompt, expected"),
        "twice": (of("twice"), "line 2: the id 'a' comes twice"),
        "bad id": (of("bad-id"), "line 1: id is a name of printable characters"),
        "bad metadata": (of("bad-metadata"), "metadata is an object, not 3"),
        "empty": (of("empty"), "holds no tasks"),
        "some truth": (of("some-truth"), "'b' has no expected answer"),
        "agent name": (by("x"), "there is no agent 'x'"),
        "agent module": (
            ["run", "--tasks", tasks, "--agent", "x_y:z", "-s", "single"],
            "No module named 'x_y'",
        ),
        "agent attribute": (["run", "--tasks", tasks, "--agent", "json:z", "-s", "single"], "has no 'z'"),
        "agent kind": (["run", "--tasks", tasks, "--agent", "os:sep", "-s", "single"], "is not an agent"),
        "judge": ([*run, "--tasks", tasks, "-s", "rtv@2", "--judge", "json:loads"], "is not a judge"),
        "no bound": (
            ["run", "--tasks", tasks, "--agent", "shutil:which", "-s", "single", "--max-cost", "1"],
            "--rollout-usd",
        ),
        "endless": ([*of("typo"), "--max-cost", "inf"], "usd must be zero or more, not inf"),
        "no run": (["show", str(folder / "absent")], "there is no run at"),
        "not a run": (["report", str(folder / "not-a-run")], "a run of tts"),
        "no pool": (["replay", str(folder / "absent"), "-s", "single"], "No such file"),
        "bad pool": (["replay", str(folder / "typo.jsonl"), "-s", "single"], "line 1"),
        "two forms": (["replay", tasks, "-s", "single", "--json", "--markdown"], "choose one"),
    }


def test_bad_input_gives_one_line_and_code_2(
    tmp_path: Path, tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, (arguments, told) in bad_inputs(tmp_path).items():
        code = call(arguments)
        captured = capsys.readouterr()
        assert code == 2, name
        assert captured.err.startswith("error: "), name
        assert told in captured.err, f"{name}: {captured.err}"
        assert captured.err.count("\n") == 1, f"{name}: {captured.err}"
        assert captured.out == "", name
        assert "\x1b" not in captured.err, name


def test_an_unwritable_place_gives_one_line(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["report", str(place), "-o", str(tmp_path / "absent" / "x.md")]) == 1
    assert re.fullmatch(r"error: .*x\.md: No such file or directory\n", capsys.readouterr().err)


def test_hostile_text_does_not_reach_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"id": "h", "prompt": "\x1b[2J\u202eowned [bold]x[/bold]", "expected": "h: 0"}]
    file = str(jsonl(tmp_path / "h.jsonl", rows))
    run = str(tmp_path / "run")
    assert call(["run", "--tasks", file, *SCRIPTED, "-s", "single", "-o", run]) == 0
    assert call(["show", run, "h"]) == 0
    assert call(["show", run, "\x1b[2Jx"]) == 2
    captured = capsys.readouterr()
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", captured.out + captured.err)
    assert "[bold]x[/bold]" in captured.out


SLOW = """
import asyncio, sys
async def solve(task, attempt):
    if attempt.index == 0:
        return "quick"
    print("started", file=sys.stderr, flush=True)
    await asyncio.sleep(3600)
"""


def interrupted(folder: Path, n_signals: int, grace: str) -> tuple[int, str]:
    (folder / "cli_slow_agent.py").write_text(SLOW)
    jsonl(folder / "one.jsonl", [{"id": "a", "prompt": "x", "expected": "quick"}])
    command = ["run", "--tasks", "one.jsonl", "--agent", "cli_slow_agent:solve", "-s", "vote@2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tts.cli.main", *command, "-o", "out", "--grace", grace],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    told = ""
    for line in process.stderr:
        told += line
        if "started" in line or ("stopping" in line and n_signals):
            process.send_signal(signal.SIGINT)
            n_signals -= 1
    process.stderr.close()
    return process.wait(timeout=30), told


def test_the_first_interrupt_lets_the_grace_pass_and_saves(tmp_path: Path) -> None:
    code, told = interrupted(tmp_path, 1, "0.05")
    assert code == 130
    assert "Traceback" not in told
    assert "Resume with the same command: tts run --tasks one.jsonl" in told
    with Run.open(tmp_path / "out") as run:
        bill = report_of_run(run).bill
    assert bill is not None
    assert (bill.rollouts["finished"], bill.rollouts["cancelled"]) == (1, 1)


def test_the_second_interrupt_cancels_at_once(tmp_path: Path) -> None:
    code, told = interrupted(tmp_path, 2, "3000")
    assert code == 130
    assert "has 3000 s to end" in told


def test_a_reader_that_leaves_is_no_error() -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    process = subprocess.Popen(
        [sys.executable, "-m", "tts.cli.main", "strategies"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    _, told = process.communicate(timeout=30)
    assert told == b""
    assert process.returncode == 1


def test_no_bar_is_drawn_in_a_pipe(tmp_path: Path, tasks: Path) -> None:
    command = ["run", "--tasks", str(tasks), *SCRIPTED, *STRATEGIES, "-o", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, "-m", "tts.cli.main", *command], capture_output=True, text=True, check=True
    )
    assert done.stderr.startswith("At most 12 rollouts")
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stdout + done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_the_tally_counts_and_says_the_time_left() -> None:
    tally = Tally(total=10, stored=4, started=0.0)
    for status in ("finished", "cancelled"):
        tally.hear(Ended("rollout", "t", status, Usage(known_usd=0.5), 1.0))
    tally.hear(Ended("verdict", "t", "finished", Usage(unpriced_calls=1), 0.1))
    tally.hear(Noticed("x"))
    assert (tally.done, tally.performed, tally.kept, tally.notes) == (6, 2, 1, ["x"])
    assert tally.line().startswith("6/10 rollouts · 1 vote · $1.00+ · about ")


def test_the_demo_asks_for_the_strategies_of_its_size() -> None:
    assert presets(6) == [
        "single",
        "vote@6",
        "short-3@6",
        "rtv@6",
        "rtv@12",
        "pdr-rtv@6",
        "pass@6",
        "pass@12",
    ]
    assert presets(2)[2] == "short-2@2"


def test_the_demo_runs_and_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "demo",
        "-o",
        str(tmp_path / "demo"),
        "--limit",
        "1",
        "--n",
        "2",
        "-s",
        "single",
        "-s",
        "rtv@2",
    ]
    assert call(command) == 0
    captured = capsys.readouterr()
    assert "without a sandbox" in captured.err
    assert "2 rollouts run, 0 found" in captured.out
    assert call([*command, "--json"]) == 0
    captured = capsys.readouterr()
    assert "0 rollouts run, 2 found" in captured.err
    assert [s["name"] for s in json.loads(captured.out)["strategies"]] == ["single", "rtv@2"]
