"""The simulator is the frozen one, and its fast path does what the real stages do through the real scope."""

import numpy as np
import pytest
from tts_strategies.arena import Arena
from tts_strategies.rtv import RTV

benchmarks = pytest.importorskip("benchmarks.selection.world", reason="the benchmarks are not in the wheel")

from benchmarks.selection import curves, paper, real  # noqa: E402
from benchmarks.selection.arms import Arm, by_tests, evidence, measured, noise  # noqa: E402
from benchmarks.selection.world import CALIBRATIONS, N, Tasks, World, behaviour, passes  # noqa: E402


def world(calibration="SWE-like", tasks=400, seed=5):
    return World(CALIBRATIONS[calibration], Tasks.mixed(tasks, seed).right, seed)


def test_tasks_are_mixed_and_half_of_all_candidates_are_right():
    right = Tasks.mixed(20_000, 1).right
    assert right.sum(axis=1).min() >= 1
    assert right.sum(axis=1).max() <= N - 1
    assert right.mean() == pytest.approx(0.5, abs=0.01)


def test_a_vote_is_always_the_same_and_as_likely_as_it_says():
    one = world("independent", 4_000)
    rows, zero, other = np.arange(4_000), np.zeros(4_000, dtype=int), np.ones(4_000, dtype=int)
    first = one.vote(rows, zero, other)
    assert (one.fresh().vote(rows, zero, other) == first).all()
    assert (one.vote(rows, zero, other) != first).any()
    ahead = one.right[:, 0] & ~one.right[:, 1]
    assert 1 - first[ahead].mean() == pytest.approx(1 / (1 + np.exp(-0.7)), abs=0.04)


def test_tests_and_behaviour_are_as_defined():
    right = Tasks.mixed(4_000, 2).right
    told = passes(right, 2, noise=False)
    same = (told == right[:, None, :]).all(axis=2)
    assert same[right].mean() == pytest.approx(0.75, abs=0.01)
    assert same[~right].mean() == pytest.approx(0.35, abs=0.01)
    assert (behaviour(right, 2, noise=False)[right] == 0).mean() == pytest.approx(0.8, abs=0.01)
    coins = passes(right, 2, noise=True)
    assert np.corrcoef(coins.mean(axis=1).ravel(), right.ravel())[0, 1] == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("stage", [Arena(), Arena(keep=4, votes=23, wave=5, each=2)])
def test_the_stage_picks_what_the_fast_path_picks(stage):
    few = world(tasks=6)
    picks, votes = real.choices(few, stage)
    fast = Arm(stage).play(few.fresh(), 0)
    assert picks.tolist() == fast.choice.tolist()
    assert votes.tolist() == fast.votes.tolist()


def test_with_tests_the_stage_picks_what_the_fast_path_picks():
    few = world(tasks=6)
    told = passes(few.right, 5, noise=False)
    picks, votes = real.choices(few, Arena(votes=12, tests="own"), told=told)
    fast = Arm(Arena(votes=12), by_tests).play(few.fresh(), 5)
    assert picks.tolist() == fast.choice.tolist()
    assert votes.tolist() == fast.votes.tolist()


def test_the_curves_have_each_arm_at_its_price():
    found = curves.points("TB-like", 40)
    assert [round(p.costs[0]) for p in found["rtv, 1 to 8 votes a pair"]] == [15, 30, 60, 120]
    assert [round(p.costs[0]) for p in found["arena, one vote at a time"]] == list(curves.SIZES)
    assert {p.costs[2] for p in found["arena, waves of a quarter"]} == {4.0}
    assert all(p.low <= p.accuracy <= p.high for drawn in found.values() for p in drawn)
    assert "TB-like" in curves.table("TB-like", found)


def test_the_real_tournament_costs_what_the_fast_one_does():
    few = world(tasks=3)
    _, votes = real.choices(few, RTV(tie_rounds=0))
    assert votes.tolist() == [120, 120, 120]
    assert Arm(RTV(tie_rounds=0)).play(few, 0).votes.tolist() == [120, 120, 120]


def test_evidence_finds_the_right_one_and_noise_says_little():
    right = Tasks.mixed(500, 3).right
    rows = np.arange(500)
    assert right[rows, evidence(right, 3).argmax(axis=1)].mean() > 0.98
    assert right[rows, noise(right, 3).argmax(axis=1)].mean() < 0.6
    assert np.abs(noise(right, 3)).mean() < 0.4


def test_the_same_seed_gives_the_same_figures():
    arms = {"rtv": Arm(RTV()), "arena": Arm(Arena(votes=12))}
    one, two = (measured("TB-like", arms, 60) for _ in range(2))
    assert all((one[name].right == two[name].right).all() for name in arms)


@pytest.mark.parametrize("name", sorted(paper.TABLES))
def test_the_papers_columns_come_out_within_a_few_points(name):
    table = paper.TABLES[name]
    for mine, theirs in zip(paper.columns(table)[1:], table.columns[1:], strict=True):
        assert mine is None or mine == pytest.approx(theirs, abs=3.0)
