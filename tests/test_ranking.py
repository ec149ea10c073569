"""Rankings by comparison: knockout, league, Swiss, k-wise with transitive closure, Bradley-Terry."""

import math
from dataclasses import dataclass, replace
from itertools import combinations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tts_strategies.blitz import Blitz, Known
from tts_strategies.bradley_terry import BradleyTerry, strengths
from tts_strategies.knockout import Knockout, failure_bound
from tts_strategies.league import League, meetings
from tts_strategies.swiss import Swiss, outcome

from tts.errors import UsageError
from tts.pipeline import Pipeline
from tts.registry import resolve
from tts.testing import FailingJudge, ScriptedJudge, StageContract, opened, stored, strategy_run
from tts.types import FREE, Budget, Pool, Rollout, Tally, Usage, Verdict

STAGES = [
    Knockout(),
    Knockout(keep=3, votes=1, merge=None),
    League(),
    League(keep=2, opponents=3, votes=1),
    Swiss(),
    Swiss(keep=2, budget=3, window=2),
    Blitz(),
    Blitz(keep=3, group=5, votes=2),
    BradleyTerry(),
    BradleyTerry(keep=2, pairs=7, votes=1),
]


class TestKnockout(StageContract):
    stage = Knockout()


class TestLeague(StageContract):
    stage = League(keep=2, opponents=3)


class TestSwiss(StageContract):
    stage = Swiss(budget=3)


class TestBlitz(StageContract):
    stage = Blitz(keep=2, group=3)


class TestBradleyTerry(StageContract):
    stage = BradleyTerry(keep=2, pairs=5)


def numbers(n, *, start=0):
    return Pool(tuple(Rollout(answer=f"{i:03}", index=i) for i in range(start, start + n)))


@dataclass
class Scoring:
    """A judge that scores all who are shown, with a function of the answer."""

    score: object = float
    fingerprint: str = "scoring"
    bound: Budget = FREE

    async def compare(self, task, shown, *, n=1):
        scores = tuple(float(self.score(candidate.rollout.answer)) for candidate in shown)
        best = shown[scores.index(max(scores))].rollout.key
        return [Verdict(preferred=best, scores=scores)] * n


@dataclass
class Played:
    pool: Pool
    run: object

    @property
    def answers(self):
        return [rollout.answer for rollout in self.pool]

    @property
    def votes(self):
        return self.run.spending.verdicts

    @property
    def groups(self):
        """The groups that met, by answer."""
        matches = [match.group for stage in self.run.stages for match in stage.matches]
        return [tuple(self.named[key] for key in group) for group in matches]

    named: dict = None


def play(stage, pool, *, judge=None, seed=0, budget=Budget()):
    judge = judge or ScriptedJudge()

    async def main():
        async with opened(judge=judge) as ledger:
            run = strategy_run(ledger, judge=judge, seed=seed, budget=budget)
            given = await stored(pool, run)
            named = {rollout.key: rollout.answer for rollout in given}
            return Played(await Pipeline(stage)(given, run.scope()), run, named)

    return anyio.run(main)


# What all of them keep to


@settings(max_examples=12, deadline=None)
@given(
    stage=st.sampled_from(STAGES),
    answers=st.lists(st.sampled_from([None, " ", "a", "b", "c", "d", "e"]), max_size=7),
    seed=st.integers(0, 3),
    data=st.data(),
)
def test_they_pick_whatever_the_order_of_arrival(stage, answers, seed, data):
    pool = Pool(tuple(Rollout(answer=answer, index=i) for i, answer in enumerate(answers)))
    first = play(stage, pool, seed=seed)
    turned = replace(pool, rollouts=tuple(data.draw(st.permutations(pool.rollouts))))
    assert play(stage, turned, seed=seed).pool.keys == first.pool.keys
    assert set(first.answers) <= set(answers)
    assert len(set(first.pool.keys)) == len(first.pool) <= stage.keep
    assert first.pool.ranked
    assert bool(first.pool.rollouts) == bool(answers)
    outputs = [answer for answer in answers if (answer or "").strip()]
    assert first.pool.incomplete is False
    assert not outputs or all((answer or "").strip() for answer in first.answers)


@pytest.mark.parametrize(
    "stage", [Knockout(), League(opponents=8), Swiss(budget=4), Blitz(), BradleyTerry()], ids=str
)
def test_a_true_judge_finds_the_best(stage):
    assert play(stage, numbers(9)).answers == ["008"]


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_they_survive_a_judge_that_says_nothing(stage):
    for judge in (ScriptedJudge(value=lambda candidate: None), FailingJudge()):
        played = play(stage, numbers(6), judge=judge)
        assert len(played.pool) == stage.keep
        assert played.pool.keys == play(stage, numbers(6), judge=judge).pool.keys


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_what_was_refused_is_told(stage):
    played = play(stage, numbers(9), judge=_Paid(), budget=Budget(tokens=2))
    assert played.pool.incomplete
    assert played.votes <= 2
    assert len(played.pool) == stage.keep


class _Paid:
    """A judge that takes one token a vote."""

    fingerprint = "paid"
    bound = Budget(usd=0.0, tokens=1, seconds=0.0)

    async def compare(self, task, shown, *, n=1):
        best = max(shown, key=lambda candidate: candidate.rollout.answer)
        return [Verdict(preferred=best.rollout.key, usage=Usage(output_tokens=1))] * n


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: Knockout(votes=0), "knockout takes whole numbers of 1 or more, not keep=1, votes=0"),
        (lambda: League(opponents=0), "league takes whole numbers of 1 or more"),
        (lambda: Swiss(budget=0), "swiss takes whole numbers of 1 or more"),
        (lambda: Blitz(group=1), "blitz takes group of 2 or more, not 1"),
        (lambda: BradleyTerry(pairs=0), "bradley_terry takes pairs of 1 or more, or None, and spread > 0"),
        (lambda: Swiss(merge="nearly"), "nearly"),
    ],
)
def test_bad_parameters_are_told(made, told):
    with pytest.raises(UsageError, match=told):
        made()


def test_they_are_named_on_the_command_line():
    for stage in STAGES:
        assert resolve(str(Pipeline(stage))).run.stages == (stage,)
    for name in ("knockout@8", "league@8", "swiss@8", "blitz@8", "bradley-terry@8"):
        assert "sample(8)" in str(resolve(name).run.stages[0:1]) or resolve(name).text.startswith("sample(8)")


# Knockout


def test_a_knockout_takes_k_votes_a_pair_and_halves_each_round():
    played = play(Knockout(votes=4), numbers(16))
    assert played.answers == ["015"]
    assert played.votes == 4 * 15
    assert len(played.groups) == 8 + 4 + 2 + 1


def test_who_is_left_over_goes_on_unpaired():
    assert len(play(Knockout(votes=2), numbers(5)).groups) == 4
    assert len(play(Knockout(keep=3), numbers(5)).groups) == 2
    assert len(play(Knockout(keep=4), numbers(16)).groups) == 12


def test_the_failure_bound_of_the_paper():
    """With N = 8, K = 10, p_gen = 0.5, p_comp = 0.8: 2^-8 + 3 e^-1.8."""
    assert failure_bound(8, 10, 0.5, 0.8) == pytest.approx(0.00390625 + 3 * math.exp(-1.8))
    assert failure_bound(9, 50, 0.5, 0.8) == pytest.approx(0.5**9 + 4 * math.exp(-9))
    assert failure_bound(1, 1, 0.25, 0.9) == 0.75
    assert failure_bound(16, 1, 0.5, 0.6) == 1.0
    for bad in ((0, 1, 0.5, 0.8), (2, 0, 0.5, 0.8), (2, 1, 1.5, 0.8), (2, 1, 0.5, 0.5)):
        with pytest.raises(UsageError, match="the bound takes"):
            failure_bound(*bad)


def test_knockouts_fail_no_more_often_than_the_bound(thorough):
    """Right attempts with p_gen = 1/2, votes right with p_comp = 3/4: 8 attempts, K = 15."""
    n, votes, draws, failed = 8, 15, 200 if thorough else 10, 0
    for seed in range(draws):
        judge = _Noisy(seed)
        answers = tuple(Rollout(answer=f"{judge.rng.random() < 0.5} {i}", index=i) for i in range(n))
        failed += play(Knockout(votes=votes), Pool(answers), judge=judge).answers[0].startswith("False")
    bound = failure_bound(n, votes, 0.5, 0.75)
    assert bound == pytest.approx(1 / 256 + 3 * math.exp(-1.875))
    assert failed / draws <= bound


class _Noisy:
    """A judge that prefers the right one of two with probability 3/4, each vote by itself."""

    bound = FREE

    def __init__(self, seed):
        from random import Random

        self.rng = Random(seed)
        self.fingerprint = f"noisy-{seed}"

    async def compare(self, task, shown, *, n=1):
        return [self._vote(shown) for _ in range(n)]

    def _vote(self, shown):
        right = [c for c in shown if c.rollout.answer.startswith("True")]
        wrong = [c for c in shown if c not in right]
        if not right or not wrong:
            return Verdict(preferred=self.rng.choice(shown).rollout.key)
        return Verdict(preferred=self.rng.choice(right if self.rng.random() < 0.75 else wrong).rollout.key)


# League


@pytest.mark.parametrize("n", range(2, 12))
@pytest.mark.parametrize("k", range(1, 12))
def test_everybody_meets_k_others(n, k):
    pairs = [frozenset(pair) for pair in meetings(n, k)]
    met = [sum(i in pair for pair in pairs) for i in range(n)]
    assert len(set(pairs)) == len(pairs)
    assert all(len(pair) == 2 for pair in pairs)
    wanted = min(k, n - 1)
    assert sorted(met)[:-1] == [wanted] * (n - 1)
    assert max(met) == wanted + (wanted * n) % 2


def test_a_league_goes_by_mean_win_rate():
    """All meet all: the rates are 3/3, 2/3, 1/3 and 0, so who lost to the best alone comes second."""
    played = play(League(keep=3, opponents=3, votes=2), numbers(4))
    assert played.answers == ["003", "002", "001"]
    assert played.votes == 6 * 2


# Swiss


def test_a_verdict_weighs_the_difference_of_its_scores():
    """Scores 9 and 3 weigh 6/9; without scores a verdict weighs 1; equal scores say nothing."""
    assert outcome(Verdict(("a", "b"), "a", scores=(9, 3))) == ("a", pytest.approx(6 / 9))
    assert outcome(Verdict(("a", "b"), "a", scores=(1, 10))) == ("b", 1.0)
    assert outcome(Verdict(("a", "b"), "b")) == ("b", 1.0)
    assert outcome(Verdict(("a", "b"), "b", scores=(5, 5)))[1] == 0.0
    assert outcome(Verdict(("a", "b"), None, scores=(5, 7))) == (None, 1.0)


def test_the_weighted_win_rate_by_hand():
    """A ring of three, judged once: a-b by 9:3, b-c by 6:3, a-c by 8:2, so a has 1, b 3/9 of 9/9, c 0."""
    scores = {
        frozenset("ab"): {"a": 9, "b": 3},
        frozenset("bc"): {"b": 6, "c": 3},
        frozenset("ac"): {"a": 8, "c": 2},
    }

    class Table:
        fingerprint = "table"
        bound = FREE

        async def compare(self, task, shown, *, n=1):
            answers = [c.rollout.answer for c in shown]
            found = scores[frozenset(answers)]
            best = max(shown, key=lambda c: found[c.rollout.answer])
            return [
                Verdict(preferred=best.rollout.key, scores=tuple(map(float, map(found.get, answers))))
            ] * n

    pool = Pool(tuple(Rollout(answer=a, index=i) for i, a in enumerate("abc")))
    played = play(Swiss(keep=2, budget=1), pool, judge=Table())
    assert played.answers == ["a", "b"]
    assert played.votes == 3


@pytest.mark.parametrize("budget", [1, 2, 3, 5])
def test_it_spends_b_n_comparisons(budget):
    played = play(Swiss(budget=budget), numbers(8))
    assert played.votes == budget * 8
    met = [
        sum(answer in group for group in played.groups[:8])
        for answer in {a for g in played.groups for a in g}
    ]
    assert met == [2] * 8


def test_those_who_stand_close_meet():
    """After the ring, with a window of one, only neighbours of the ranking meet, never best and worst."""
    played = play(Swiss(budget=3, window=1), numbers(8))
    late = [{int(answer) for answer in group} for group in played.groups[8:]]
    assert {0, 7} not in late
    assert {6, 7} in [{int(a) for a in group} for group in played.groups]


def test_each_stands_first_about_equally_often():
    first = ScriptedJudge()
    play(Swiss(budget=4), numbers(8), judge=first)
    counts = [sum(shown[0] == key for shown in first.asked) for key in {k for s in first.asked for k in s}]
    assert max(counts) - min(counts) <= 2


# Blitz


def test_the_25_horses():
    """The paper's puzzle: 25 horses, five to a race, no clock: the fastest three in seven races."""
    played = play(Blitz(keep=3, group=5), numbers(25), judge=Scoring())
    assert played.answers == ["024", "023", "022"]
    assert played.votes == 7
    assert [len(group) for group in played.groups] == [5] * 7


def test_a_winner_only_is_k_minus_1_preferences():
    """16 in fours for one winner: four groups and a final, with a ranking or without."""
    for judge in (ScriptedJudge(), Scoring()):
        played = play(Blitz(group=4), numbers(16), judge=judge)
        assert (played.answers, played.votes) == (["015"], 5)


def test_a_circle_collapses_into_a_tie():
    known = Known("abcd")
    known.add([_said("a", "b"), _said("b", "c"), _said("c", "a"), _said("c", "d")])
    assert known.tied["a"] == {"a", "b", "c"}
    assert known.better["d"] == {"a", "b", "c"}
    assert known.worse["b"] == {"d"}
    assert known.next_groups(1, 2) == []


def test_what_follows_is_not_asked():
    known = Known("abc")
    known.add([_said("a", "b"), _said("b", "c")])
    assert known.worse["a"] == {"b", "c"}
    assert known.next_groups(2, 2) == []


def _said(winner, loser):
    return Tally((winner, loser), (Verdict(shown=(winner, loser), preferred=winner),))


def test_equal_scores_are_a_tie():
    played = play(Blitz(keep=2, group=3), numbers(3), judge=Scoring(lambda answer: answer == "001"))
    assert played.answers[0] == "001"
    assert played.votes == 1


# Bradley-Terry


def test_the_posterior_by_hand():
    """Two candidates, three votes to one: 2 a t = 3 (1 - p) - p and the same with the other sign.

    With t the strength of the first, -t of the second, p = sigmoid(2 t) and a prior of spread s the
    derivative of the posterior is 3 - 4 p - t / s^2 = 0.
    """
    tally = Tally(("a", "b"), tuple(Verdict(preferred=key) for key in "aaab"))
    t, other = strengths("ab", [tally], 1.5)
    p = 1 / (1 + math.exp(-2 * t))
    assert 3 - 4 * p - t / 1.5**2 == pytest.approx(0, abs=1e-5)
    assert t == -other
    assert 0 < t < math.log(3) / 2  # shrunk from the greatest likelihood, log 3 between them


def test_all_pairs_meet_once_or_so_many_at_random():
    assert play(BradleyTerry(votes=2), numbers(6)).votes == 15 * 2
    played = play(BradleyTerry(pairs=4, votes=2), numbers(6))
    assert played.votes == 8
    assert len({frozenset(group) for group in played.groups}) == 4


def test_strengths_count_votes_that_were_lost_to_strong_ones():
    """b and c have one win and one loss each, c against stronger ones."""
    tallies = [_said(*pair) for pair in ("ab", "ac", "ad", "cd", "bd", "ce", "ed", "cb")]
    found = dict(zip("abcde", strengths("abcde", tallies, 1.5), strict=True))
    assert sorted(found, key=found.get, reverse=True)[:2] == ["a", "c"]
    assert len(list(combinations("abcde", 2))) > len(tallies)


def test_it_says_when_choix_has_nothing_to_go_by():
    assert strengths("ab", [Tally(("a", "b"), (Verdict(),))], 1.0) == [0.0, 0.0]
