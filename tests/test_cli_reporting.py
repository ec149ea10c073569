"""Reports of replays, of several runs and of plans through the command line; a run that is watched."""

from __future__ import annotations

import json
import random
from pathlib import Path

import anyio
import pytest

from tts.cli.main import call
from tts.errors import UsageError
from tts.experiment import Experiment
from tts.graders import ExpectedAnswer
from tts.planning import plan
from tts.replay.recorded import read_pool
from tts.testing import ScriptedAgent, ScriptedJudge, ScriptedSummarizer
from tts.types import Rollout, Task


def rows(n_tasks: int = 12, n: int = 8, rate: float = 0.7) -> list[dict[str, object]]:
    draw = random.Random(4)
    return [
        {
            "task_id": f"t{i}",
            "sample": j,
            "answer": "right" if (ok := draw.random() < rate) else f"wrong {draw.randrange(4)}",
            "correct": ok,
            "cost_usd": 0.1,
            "length": 10 + j,
            "group": f"g{i % 3}",
        }
        for i in range(n_tasks)
        for j in range(n)
    ]


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    path = tmp_path / "pool.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    return path


def made(
    place: Path, strategies: list[str], *, ids: str = "abc", expected: str = "0", same: str = "text"
) -> Path:
    async def numbered(task: Task, attempt: object) -> Rollout:
        return Rollout(answer=str(getattr(attempt, "index", 0)), length=1.0)

    experiment = Experiment(
        tasks=[Task(id_, "p") for id_ in ids],
        strategies=strategies,
        agent=ScriptedAgent(numbered),
        summarizer=ScriptedSummarizer(),
        judge=ScriptedJudge(),
        grader=ExpectedAnswer(dict.fromkeys(ids, expected), same),
    )
    anyio.run(experiment.run, place).close()
    return place


def test_a_replay_has_a_page_and_its_json_says_more(
    pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "pool.html"
    words = [
        "replay",
        str(pool),
        "-s",
        "single",
        "-s",
        "vote@5",
        "-s",
        "pass@5",
        "--json",
        "--report",
        str(page),
    ]
    assert call(words) == 0
    out = capsys.readouterr()
    found = json.loads(out.out)
    assert "pool.html: 0." in out.err
    assert found["study"]["effective_clusters"] == pytest.approx(3.0)
    (curve,) = [c for c in found["study"]["growth"] if c["form"] == "pass@{k}"]
    by_task = [[r["correct"] for r in rows() if r["task_id"] == f"t{i}"] for i in range(12)]
    assert curve["steps"][0]["accuracy"] == pytest.approx(sum(sum(x) / 8 for x in by_task) / 12, abs=1e-9)
    assert curve["steps"][-1]["accuracy"] == pytest.approx(sum(any(x) for x in by_task) / 12, abs=1e-9)
    assert {p["name"] for p in found["study"]["front"]["places"]} == {"single", "vote@5"}
    text = page.read_text(encoding="utf-8")
    assert '<section id="growth">' in text
    assert 'id="tasks"' not in text


def test_runs_over_the_same_tasks_are_compared_task_by_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = made(tmp_path / "one", ["single"]), made(tmp_path / "two", ["rtv@3"])
    assert call(["report", str(one), str(other), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [s["name"] for s in found["strategies"]] == ["one: single", "two: rtv@3"]
    assert found["comparisons"][0]["difference"] == 1.0
    assert found["study"]["duels"][0]["gained"] == ["a", "b", "c"]
    page = tmp_path / "both.html"
    assert call(["report", str(one), str(other), "-f", "html", "-o", str(page)]) == 0
    assert "one and two" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"ids": "abd"}, "2 tasks are in one of them only, such as c in one"),
        ({"expected": "1"}, "they were graded by expected:"),
    ],
)
def test_what_does_not_match_is_not_paired(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: dict[str, str], told: str
) -> None:
    one, other = made(tmp_path / "one", ["single"]), made(tmp_path / "two", ["single"], **more)
    assert call(["report", str(one), str(other)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: one and two cannot be paired: ")
    assert told in err
    assert call(["report", str(one), str(one)]) == 2
    assert "given twice" in capsys.readouterr().err


def test_a_run_is_watched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = made(tmp_path / "run", ["single", "rtv@3"])
    assert call(["watch", str(place), "--once"]) == 0
    out = capsys.readouterr().out
    assert "rtv@3" in out
    assert "3/3" in out
    assert "attempts: 9 finished" in out
    assert "all is chosen" in out
    assert call(["watch", str(tmp_path / "none")]) == 2


def test_a_plan_buys_what_fits_and_is_checked_on_the_other_half(
    pool: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["plan", str(pool), "--max-cost", "600", "--tasks", "1000", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {s["name"] for s in found["strategies"]} >= {"vote@1", "vote@3", "vote@6", "short-3@6"}
    assert not {"vote@8", "short-3@8"} & {s["name"] for s in found["strategies"]}
    best = max(s["accuracy"] for s in found["strategies"])
    chosen = next(s for s in found["strategies"] if s["name"] == found["chosen"])
    assert chosen["accuracy"] == best
    assert found["expected_usd"] <= 600 + 1e-6
    assert found["promised"]["n_tasks"] + found["held_out"]["n_tasks"] == 12
    assert call(["plan", str(pool), "--max-cost", "600", "--tasks", "1000"]) == 0
    assert capsys.readouterr().out.startswith(f"Buy {found['chosen']}: ")


@pytest.mark.parametrize(
    ("change", "cost", "told"),
    [
        ({}, "0.5", "nothing fits: the cheapest takes \\$0.1000 a task, and there are \\$0.0417"),
        ({"cost_usd": None}, "9", "does not say what its samples cost"),
        ({"correct": None}, "9", "has no grades"),
    ],
)
def test_a_plan_that_cannot_be_made_says_why(
    tmp_path: Path, change: dict[str, object], cost: str, told: str
) -> None:
    samples = read_pool([row | change for row in rows()])
    with pytest.raises(UsageError, match=told):
        plan(samples, max_usd=float(cost), n_tasks=12)
    with pytest.raises(UsageError, match="four tasks"):
        plan(samples[:3], max_usd=9.0, n_tasks=1)
