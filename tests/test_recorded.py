from __future__ import annotations

import json
import os
from itertools import combinations
from pathlib import Path
from statistics import fmean
from types import ModuleType

import pytest

NOT_A_CHECKOUT = "the benchmarks are not part of the wheel; run from the checkout"
recorded = pytest.importorskip("benchmarks.recorded", reason=NOT_A_CHECKOUT)
goals = pytest.importorskip("benchmarks.goals", reason=NOT_A_CHECKOUT)
catalogue = pytest.importorskip("benchmarks.catalogue", reason=NOT_A_CHECKOUT)
Figure, document, report, table = goals.Figure, goals.document, goals.report, goals.table

DATA = os.environ.get("TTS_DATA", "")
needs_data = pytest.mark.skipif(
    not DATA, reason="TTS_DATA does not name the folder of the recorded data sets"
)


def test_the_excerpt_gives_what_counting_gives() -> None:
    rewards: dict[int, list[float]] = {}
    for line in recorded.EXCERPT.read_text().splitlines():
        row = json.loads(line)
        rewards.setdefault(row["task_id"], []).append(row["reward"])
    counted = [
        recorded.Goal(
            f"pass{mark}{k}", fmean(fmean(map(best, combinations(r, k))) for r in rewards.values()), 1e-9
        )
        for k in (1, 2, 3, 4)
        for mark, best in (("@", max), ("^", min))
    ]
    found = recorded.figures("excerpt", recorded.tau_bench(recorded.EXCERPT), counted)
    assert [f.value for f in found] == pytest.approx([g.value for g in counted])
    assert all(f.met for f in found)
    assert len({g.value for g in counted}) > 3


@needs_data
def test_the_recorded_data_give_the_published_figures() -> None:
    found = recorded.measured(Path(DATA))
    assert [f.name for f in found if not f.met] == []
    assert len(found) == 18


@needs_data
def test_the_catalogue_selects_as_was_counted_apart(thorough: bool) -> None:
    found = catalogue.measured(Path(DATA), draws=200 if thorough else 4)
    assert [f.name for f in found if not f.met] == []
    assert len(found) == 13


def test_a_tournament_of_two_counts_a_tie_one_half() -> None:
    said = [(1, 1), (1, 2), (2, None), (2, 0), (0, 0), (0, 1)]
    pairs = [{"idx": i, "human_majority": m, "judge": v} for i, (m, v) in enumerate(said)]
    assert catalogue.agreement(pairs, "judge") == pytest.approx((2 / 6, 2 / 4))
    played, error = catalogue.tournament(pairs, "judge", draws=400)
    assert played == pytest.approx(0.5, abs=error)
    assert 0 < error < 0.1


def test_top_one_shares_the_credit_of_equal_groups() -> None:
    groups = catalogue.codet([[1, 0], [1, 0], [0, 1], [0, 1]])
    assert catalogue.top_one(groups, lambda g: g.score, [True, False, True, True]) == 0.75


@pytest.mark.parametrize("bench", [recorded, catalogue])
def test_without_data_it_says_so(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TTS_DATA", raising=False)
    assert bench.main([]) == 2
    monkeypatch.setenv("TTS_DATA", str(tmp_path))
    assert bench.main(["--json"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "TTS_DATA is not set" in said.err
    assert "math_50x.jsonl" in said.err


def test_goals_are_met_or_missed(capsys: pytest.CaptureFixture[str]) -> None:
    met = [
        Figure("near", 0.2, 0.1, 0.1),
        Figure("least", 3, 3, kind="least"),
        Figure("most", 1, 2, kind="most", unit="s"),
    ]
    missed = [
        Figure("off", 0.2001, 0.1, 0.1),
        Figure("low", 2.9, 3, kind="least"),
        Figure("high", 2.1, 2, kind="most"),
        Figure("unknown", None, 0),
        Figure("nan", float("nan"), 0),
    ]
    assert [f.met for f in (*met, *missed)] == [True] * 3 + [False] * 5
    assert report("x", met) == 0
    assert report("x", [*met, *missed], as_json=True) == 1
    shown = capsys.readouterr().out
    assert "MISSED" not in shown
    assert "MISSED" in table(missed)
    assert "≤ 2 s" in shown
    assert document("x", missed)["met"] is False
    json.dumps(document("x", missed), allow_nan=False)
