"""A run killed at any moment loses nothing committed, repeats nothing, and comes to the same winners."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

CHILD = Path(__file__).with_name("kill_child.py")
MOMENTS = ("before", "during", "after")


def killed(folder: Path, kills: list[dict[str, Any]]) -> dict[str, Any]:
    plan = json.dumps({"folder": str(folder), "kills": kills})
    done = subprocess.run(
        [sys.executable, str(CHILD)], input=plan, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = {"stderr": done.stderr, **json.loads(done.stdout)}
    return report


def check(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Check every trial against the run that nobody killed; return those in which the kill came in time."""
    whole = report["whole"]
    assert (whole["resumed"], whole["complete"]) == (0, True)
    for trial in report["trials"]:
        assert trial["resumed"] == 0, report["stderr"]
        assert trial["complete"]
        assert trial["winners"] == whole["winners"]
        again = [tuple(map(str, line)) for line in trial["again"]]
        committed = Counter(tuple(map(str, line[:4])) for line in trial["committed"] if line[0] != "verdict")
        assert not set(again) & set(committed)  # nothing committed runs twice
        assert not [line for line, n in Counter(again).items() if n > 1 and line[0] == "summary"]
        results = [json.dumps(line) for line in trial["results"]]
        assert len(results) == len(set(results))
        assert {json.dumps(line) for line in trial["committed"]} <= set(results)  # and nothing is lost
        check_verdicts(trial)
    return [trial for trial in report["trials"] if trial["killed"]]


def check_verdicts(trial: dict[str, Any]) -> None:
    """A display order is judged again only where verdicts of it were missing."""
    had = {json.dumps(line) for line in trial["committed"] if line[0] == "verdict"}
    new = {
        tuple(line[2])
        for line in map(json.loads, set(map(json.dumps, trial["results"])) - had)
        if line[0] == "verdict"
    }
    for kind, _, shown, *_ in trial["again"]:
        assert kind != "verdict" or tuple(shown) in new


def test_killed_at_random_moments_a_run_resumes_to_the_same_end(tmp_path: Path, thorough: bool) -> None:
    rng, n = Random(7), 36 if thorough else 12
    kills = [
        {
            "share": rng.uniform(0, 0.85),  # of the commits of a whole run
            "moment": "later",
            "seconds": rng.uniform(0, 0.003),
            "workers": rng.choice((1, 2, 8)),
        }
        for _ in range(n)
    ]
    trials = check(killed(tmp_path, kills))
    assert len(trials) >= (20 if thorough else 5)  # the others had ended before their kill
    assert any(trial["committed"] for trial in trials)
    assert any(trial["again"] for trial in trials)


@pytest.mark.thorough
def test_killed_around_a_commit_a_run_resumes_to_the_same_end(tmp_path: Path) -> None:
    kills = [{"commit": 2 + 2 * i, "moment": MOMENTS[i % 3], "workers": 1 + i} for i in range(10)]
    trials = check(killed(tmp_path, kills))
    assert len(trials) == 10
