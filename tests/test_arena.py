"""Arena: the model of votes, that of tests, and the stage over both."""

from collections import Counter
from dataclasses import dataclass, field, replace

import anyio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from tts_strategies.arena import Arena
from tts_strategies.beliefs import Beliefs, VoteModel
from tts_strategies.evidence import TestModel, odds

from tts.errors import UsageError
from tts.testing import (
    FailingJudge,
    ScriptedJudge,
    ScriptedTester,
    StageContract,
    opened,
    run_stage,
    stored,
    strategy_run,
)
from tts.types import FREE, Budget, Pool, Rollout, Usage, Verdict

NONE = np.zeros((1, 3))


class TestArena(StageContract):
    stage = Arena()


class TestArenaToFour(StageContract):
    stage = Arena(keep=4, votes=9, wave=3, each=2, merge=None)


class TestArenaByTests(StageContract):
    stage = Arena(tests="written", n=2)


class TestArenaByOwnTests(StageContract):
    stage = Arena(tests="own")


def test_tests_decide_where_judges_are_silent_and_votes_where_tests_are():
    pool, tests = pool_of("a", "b", "c", "d", "e", "f"), Arena(tests="written", n=4, votes=12)
    some = ScriptedTester(passes=lambda rollout, i: rollout.output in ("b", "e"))
    silent = ScriptedJudge(value=lambda candidate: None)
    assert run_stage(tests, pool, judge=silent, tester=some).rollouts[0].output in ("b", "e")
    last = ScriptedJudge(value=lambda candidate: candidate.rollout.output)
    assert run_stage(tests, pool, judge=last, tester=some).rollouts[0].output == "e"
    for nobody in (True, False):
        every = ScriptedTester(passes=lambda rollout, i, nobody=nobody: nobody)
        assert run_stage(tests, pool, judge=last, tester=every) == run_stage(
            replace(tests, tests=""), pool, judge=last
        )


def pool_of(*answers):
    return Pool(tuple(Rollout(answer=answer, index=i) for i, answer in enumerate(answers)))


def one(number):
    return np.array([number])


# The model of votes


def voted(votes, model=None, n=3):
    beliefs = Beliefs(np.zeros((1, n)), model or VoteModel())
    for first, second, preferred in votes:
        beliefs.observe(one(first), one(second), one(preferred))
    return beliefs


@pytest.mark.parametrize("votes", [1, 4, 40])
def test_the_difference_of_two_is_what_a_sum_over_all_gives(votes):
    """The posterior of t_0 - t_1 after so many votes for 0, by summing over it and the bias."""
    model = VoteModel(spread=1.4, bias=1.2)
    beliefs = voted([(0, 1, 0)] * votes, model, n=2)
    both = np.hypot(model.spread * np.sqrt(2), model.bias)

    x = np.linspace(-15, 15, 20_001)
    weight = np.exp(-(x**2) / (2 * both**2)) * expit(x) ** votes
    shown = (x * weight).sum() / weight.sum()
    expected = shown * 2 * model.spread**2 / both**2
    assert beliefs.mean[0, 0] - beliefs.mean[0, 1] == pytest.approx(expected, rel=0.01)


def test_votes_on_one_pair_saturate():
    """A hundred votes on one pair tell less than one vote on each of five."""
    pair = voted([(0, 1, 0)] * 100, n=6)
    spread = voted([(0, rival, 0) for rival in range(1, 6)], n=6)
    assert pair.cov[0, 0, 0] > spread.cov[0, 0, 0]
    without_bias = voted([(0, 1, 0)] * 100, VoteModel(bias=0.0), n=6)
    assert without_bias.cov[0, 0, 0] < pair.cov[0, 0, 0]


def test_the_order_of_votes_does_not_matter_much():
    votes = [(0, 1, 0), (1, 2, 0), (2, 0, 1), (0, 1, 1), (1, 0, 1)]
    ahead, back = voted(votes), voted(votes[::-1])
    assert ahead.mean == pytest.approx(back.mean, abs=0.02)


def test_a_known_position_bias_is_taken_out():
    votes = [(0, 1, 0), (1, 0, 0)] * 4
    assert voted(votes, n=2).mean[0, 0] == pytest.approx(0.0, abs=1e-9)
    one_sided = voted([(0, 1, 0)] * 8, VoteModel(position=1.0), n=2)
    assert one_sided.mean[0, 0] < voted([(0, 1, 0)] * 8, n=2).mean[0, 0]


def test_abstentions_tell_nothing():
    beliefs = voted([(0, 1, -1)] * 3)
    assert not beliefs.votes.any()
    assert not beliefs.mean.any()


def test_the_next_pair_is_where_the_choice_is_open():
    beliefs = Beliefs(np.array([[3.0, 2.9, -9.0, -9.0]]), VoteModel())
    pairs, gains = beliefs.next_pairs(1)
    assert [(int(low[0]), int(high[0])) for low, high in pairs] == [(0, 1)]
    beliefs.lead = np.array([[30.0, 2.9, -9.0, -9.0]])
    assert beliefs.next_pairs(1)[1][0] < 1e-6 < gains[0]
    assert beliefs.chance[0] == pytest.approx(1.0)


def test_a_wave_spreads_over_pairs():
    pairs, _ = Beliefs(np.zeros((1, 8)), VoteModel()).next_pairs(8)
    assert len({(int(low[0]), int(high[0])) for low, high in pairs}) >= 7


# The model of tests


def test_tests_that_repeat_a_set_are_believed():
    """Three of five authors name the set {0, 1}; the other two have tests of their own."""
    passed = np.array([[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 1, 0, 1, 1], [1, 0, 1, 1, 1]])
    told = odds(passed[None].astype(float), np.arange(5), TestModel())[0]
    assert min(told[:2]) > 1 > -1 > max(told[2:])


def test_coins_tell_nothing():
    rng = np.random.default_rng(3)
    passed = (rng.random((200, 16, 16)) < 0.5).astype(float)
    assert np.mean(np.abs(odds(passed, np.arange(16), TestModel())) > 0.5) < 0.01


def test_without_tests_there_are_no_odds():
    assert not odds(np.zeros((2, 0, 4)), np.zeros(0, dtype=np.int64), TestModel()).any()


def test_what_did_not_run_says_nothing():
    passed = np.full((1, 4, 4), np.nan)
    assert odds(passed, np.arange(4), TestModel()) == pytest.approx(0.0, abs=0.6)


@given(st.permutations(range(6)), st.integers(0, 2**31))
def test_the_odds_follow_the_candidates(order, seed):
    passed = (np.random.default_rng(seed).random((1, 6, 6)) < 0.5).astype(float)
    told = odds(passed, np.arange(6), TestModel())
    moved = odds(passed[:, order][:, :, order], np.arange(6), TestModel())
    assert moved[0] == pytest.approx(told[0][list(order)], abs=1e-9)


# The stage


@dataclass
class Counted:
    """A judge that prefers the larger answer and counts what it is asked."""

    fingerprint: str = "counted"
    bound: Budget = FREE
    usage: Usage = Usage()
    asked: Counter = field(default_factory=Counter)

    async def compare(self, task, shown, *, n=1):
        self.asked[tuple(c.rollout.answer for c in shown)] += n
        best = max(shown, key=lambda c: c.rollout.answer).rollout.key
        return [Verdict(preferred=best, usage=self.usage)] * n


def test_the_best_of_sixteen_is_found_and_no_more_is_asked_than_allowed():
    judge = Counted()
    best = run_stage(Arena(level=1.0, gain=0.0), pool_of(*(f"{i:02}" for i in range(16))), judge=judge)
    assert best.rollouts[0].answer == "15"
    assert judge.asked.total() == 40
    firsts = Counter(first for first, _ in judge.asked)
    assert max(firsts.values()) < 15


def test_it_stops_when_more_votes_are_not_worth_asking():
    judge = Counted()
    run_stage(Arena(votes=1_000), pool_of("1", "2", "3"), judge=judge)
    assert 3 <= judge.asked.total() < 100


def test_votes_on_one_prompt_share_it():
    judge = Counted()
    run_stage(Arena(votes=40, each=4, level=1.0, gain=0.0), pool_of("1", "2", "3", "4"), judge=judge)
    assert set(judge.asked.values()) <= set(range(4, 41, 4))
    assert judge.asked.total() == 40


def test_equal_outputs_enter_once_and_count():
    judge = Counted()
    kept = run_stage(Arena(votes=0, keep=2), pool_of("b", "a", "b", "b", "c"), judge=judge)
    assert kept.rollouts[0].answer == "b"
    assert len(kept) == 2
    assert not judge.asked


@settings(max_examples=10, deadline=None)
@given(st.permutations(["1", "2", "3", "4", "5"]), st.integers(1, 3))
def test_the_order_of_arrival_does_not_matter(order, keep):
    pool = Pool(tuple(Rollout(answer=a, index=int(a)) for a in order))
    kept = run_stage(Arena(keep=keep, votes=6), pool, judge=Counted())
    again = run_stage(Arena(keep=keep, votes=6), replace(pool, rollouts=pool.rollouts[::-1]), judge=Counted())
    assert [r.answer for r in kept] == [r.answer for r in again]


@pytest.mark.parametrize("judge", [FailingJudge(), ScriptedJudge(lambda candidate: None)])
def test_a_judge_that_says_nothing_is_survived(judge):
    kept = run_stage(Arena(votes=7, keep=2), pool_of("a", "b", "c"), judge=judge)
    assert len(kept) == 2


def test_a_budget_is_never_passed():
    judge = Counted(
        bound=Budget(usd=1.0, tokens=0, seconds=0.0, rollouts=0), usage=Usage(calls=1, known_usd=1.0)
    )

    async def main():
        async with opened(judge=judge) as ledger:
            run = strategy_run(ledger, judge=judge, budget=Budget(usd=3.0))
            return await Arena()(await stored(pool_of(*"abcdefgh"), run), run.scope())

    assert anyio.run(main).incomplete
    assert judge.asked.total() == 3


@pytest.mark.parametrize("wrong", [{"keep": 0}, {"votes": -1}, {"each": 0}, {"level": 0.0}, {"merge": "no"}])
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(UsageError):
        Arena(**wrong)
