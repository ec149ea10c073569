"""Votes by weight, stopping early, and best-of-N: worked examples of their papers."""

import math
from dataclasses import dataclass
from random import Random

import anyio
import pytest
from tts_strategies.adaptive import Adaptive, sureness
from tts_strategies.best import Best
from tts_strategies.codet import codet
from tts_strategies.deepconf import DeepConf, threshold
from tts_strategies.esc import ESC
from tts_strategies.vote import Vote
from tts_strategies.weighted import Weighted, borda

from tts.confidence import Confidence, confidences
from tts.errors import UsageError
from tts.pipeline import Pipeline
from tts.registry import resolve
from tts.testing import ScriptedAgent, ScriptedJudge, StageContract, opened, run_stage, stored, strategy_run
from tts.types import FREE, Budget, Pool, Rollout, Usage, Verdict


def scored(*pairs, signal="score"):
    """Return a pool of (answer, score); a score of None is not there."""
    return Pool(
        tuple(
            Rollout(answer=answer, index=i, signals={} if score is None else {signal: score})
            for i, (answer, score) in enumerate(pairs)
        )
    )


def answers_of(pool):
    return [rollout.answer for rollout in pool]


async def _letter(task, attempt):
    return Rollout(answer="aab"[attempt.index % 3], signals={"score": float(attempt.index)})


class TestWeighted(StageContract):
    stage = Weighted()
    pool = scored(("a", 0.1), ("b", 0.9), ("b", 0.3), (None, 0.9), ("c", None), (" ", 0.2), ("d", -1.0))


class TestWeightedByRank(StageContract):
    stage = Weighted(by="borda", signal="confidence_mean", same="exact")
    pool = scored(("a", 2.0), ("b", 9.0), ("b", 2.0), (None, 1.0), ("c", None), signal="confidence_mean")


class TestWeightedWithoutScores(StageContract):
    stage = Weighted()


class TestDeepConf(StageContract):
    stage = DeepConf(eta=50.0, signal="score")
    pool = scored(("a", 2.0), ("b", 9.0), ("b", 2.0), (None, 10.0), ("c", None), ("d", math.nan))


class TestAdaptive(StageContract):
    stage = Adaptive(cap=9, wave=2)


class TestESC(StageContract):
    stage = ESC(window=3, cap=8)
    agent = ScriptedAgent(_letter)


class TestBest(StageContract):
    stage = Best(keep=2)
    pool = scored(("a", 0.1), ("b", 0.9), ("b", 0.9), (None, 0.99), ("c", None), (" ", 0.2))


@dataclass(frozen=True)
class Scoring:
    """A judge that scores by the answer's letter, from 1, but whom it is `blind` to, shown first, 9."""

    blind: str = ""
    fingerprint: str = "scoring"
    bound: Budget = FREE

    async def compare(self, task, shown, *, n=1):
        scores = tuple(float(ord(c.rollout.answer[0]) - 96) for c in shown)
        if shown[0].rollout.answer == self.blind:
            scores = (9.0, *scores[1:])
        return [Verdict(preferred=shown[scores.index(max(scores))].rollout.key, scores=scores)] * n


class TestBestByJudge(StageContract):
    stage = Best(by="judge", group=3, votes=3, merge="exact")
    pool = Pool(tuple(Rollout(answer=a, index=i) for i, a in enumerate("abbcd")))
    judge = Scoring()


# Weighted votes


def test_the_sum_of_scores_outweighs_the_majority():
    pool = scored(("a", 0.2), ("b", 0.9), ("a", 0.1), ("a", 0.3), ("c", 0.7))
    assert answers_of(run_stage(Weighted(), pool)) == ["b", "c", "a", "a", "a"]  # 0.9, 0.7, 0.6
    assert run_stage(Vote(), pool).rollouts[0].answer == "a"


def test_borda_weighs_by_the_root_of_n_less_the_rank():
    assert borda([0.5, 0.9, 0.1, 0.7]) == pytest.approx([math.sqrt(2), 2.0, 1.0, math.sqrt(3)])
    pool = scored(("a", 0.9), ("b", 0.1), ("a", 0.05), ("b", 0.7), ("c", 0.5))
    # p = 0.5: a has sqrt 5 + sqrt 1 = 3.24, b sqrt 4 + sqrt 2 = 3.41.  p = 3: a has 125 + 1, b 64 + 8.
    assert run_stage(Weighted(by="borda"), pool).rollouts[0].answer == "b"
    assert run_stage(Weighted(by="borda", p=3.0), pool).rollouts[0].answer == "a"


def test_equal_scores_share_the_mean_weight_of_their_ranks():
    assert borda([1.0, 1.0, 0.0], p=1.0) == [2.5, 2.5, 1.0]
    assert borda([1.0, 1.0], p=0.0) == [1.0, 1.0]


def test_who_has_no_score_weighs_nothing_and_where_none_has_one_heads_count():
    assert answers_of(run_stage(Weighted(), scored(("a", None), ("a", None), ("b", 0.1))))[0] == "b"
    assert answers_of(run_stage(Weighted(), scored(("a", None), ("a", math.inf), ("b", None))))[0] == "a"
    assert answers_of(run_stage(Weighted(), scored(("a", -9.0), ("a", -9.0), ("b", 0.1))))[0] == "b"


# DeepConf


def test_confidence_as_the_paper_defines_it():
    logprobs = [[-1.0, -3.0], [-2.0, -2.0], [-4.0, -6.0], [-1.0, -1.0], [-3.0, -3.0]]
    # tokens 2 2 5 1 3; groups of two 2 3.5 3 2
    assert confidences(logprobs, window=2) == pytest.approx(
        {
            "confidence_mean": 13 / 5,
            "confidence_tail": 2.0,
            "confidence_lowest_group": 2.0,
            "confidence_bottom": 2.0,
        }
    )
    twenty = confidences([[-float(i)] for i in range(1, 22)], window=2)
    assert twenty["confidence_bottom"] == pytest.approx((1.5 + 2.5) / 2)  # the lowest two of 20 groups


def test_a_text_shorter_than_a_group_is_one_group_and_oddities_are_left_out():
    assert set(confidences([[-1.0], [-3.0]]).values()) == {2.0}
    assert confidences([]) == {}
    assert confidences([[], [-math.inf], [math.nan]]) == {}
    assert confidences([[-2.0, -math.inf], []]) == confidences([[-2.0]])


def test_the_running_lowest_group_is_that_of_the_whole():
    rng = Random(7)
    running, lowest = Confidence(window=8), math.inf
    tokens = [[-rng.random() * 9 for _ in range(3)] for _ in range(100)]
    for i, token in enumerate(tokens, start=1):
        running.add(token)
        assert (running.lowest is None) == (i < 8)
        lowest = min(lowest, running.lowest or lowest)
    assert running.lowest == lowest == running.signals()["confidence_lowest_group"]
    assert running.lowest == pytest.approx(
        min(sum(-sum(t) / 3 for t in tokens[i : i + 8]) / 8 for i in range(93))
    )


def test_only_the_most_confident_vote_and_by_their_confidence():
    pool = scored(("a", 1.0), ("a", 2.0), ("a", 3.0), ("b", 9.0), ("c", 4.0), ("c", 4.5), signal="s")
    assert threshold(pool.rollouts, "s", 50.0) == 4.0
    assert answers_of(run_stage(DeepConf(eta=50.0, signal="s"), pool))[0] == "b"  # 9 against 8.5
    assert answers_of(run_stage(DeepConf(eta=1.0, signal="s"), pool))[0] == "b"
    assert answers_of(run_stage(DeepConf(eta=100.0, signal="s"), pool))[:3] == ["b", "c", "c"]
    assert answers_of(run_stage(DeepConf(eta=50.0), pool))[:3] == ["a"] * 3  # nobody has that signal


# Stopping early


def test_the_stopping_rule_of_adaptive_consistency():
    assert [round(sureness(a, b), 3) for a, b in ((3, 0), (4, 0), (5, 1), (6, 1))] == [
        0.938,
        0.969,
        0.938,
        0.965,
    ]
    assert sureness(7, 7) == 0.5


def saying(answers):
    async def say(task, attempt):
        attempt.spend(Usage(output_tokens=1))
        return Rollout(answer=answers[attempt.index] if answers[attempt.index] != "-" else None)

    return ScriptedAgent(say)


def n_made(stage, answers):
    return len(run_stage(stage, agent=saying(answers)))


@pytest.mark.parametrize(
    ("answers", "n"),
    [("aaaa" * 2, 4), ("aaabaaaaaaaa", 7), ("-a-aa-a" + "b" * 9, 7), ("abcdefghij", 10), ("-" * 10, 10)],
)
def test_adaptive_consistency_stops_when_it_is_sure(answers, n):
    assert n_made(Adaptive(cap=10), answers) == n


def test_waves_cost_at_most_a_wave_more():
    assert n_made(Adaptive(cap=10, wave=3), "aaabaaaaaa") == 9
    assert n_made(Adaptive(cap=10, wave=40), "aaabaaaaaa") == 10


@pytest.mark.parametrize(("answers", "n"), [("aaabbb", 3), ("aabbbbaa", 6), ("aab-aaab", 8), ("---aaab", 6)])
def test_esc_stops_when_a_window_agrees(answers, n):
    assert n_made(ESC(window=3, cap=len(answers)), answers) == n


def test_the_majority_follows():
    assert run_stage(resolve("esc@6").run, agent=saying("baaaab")).winner.answer == "a"
    assert run_stage(resolve("adaptive@40").run, agent=saying("abaaaaa" + "b" * 33)).winner.answer == "a"


def test_a_budget_that_ends_is_told():
    async def main():
        agent = saying("ab" * 9)
        async with opened(agent=agent) as ledger:
            run = strategy_run(ledger, agent=agent, budget=Budget(rollouts=5))
            return await Pipeline(Adaptive(cap=9))(Pool(), run.scope())

    made = anyio.run(main)
    assert len(made) == 5
    assert made.incomplete


# Best-of-N


def test_the_highest_score_is_taken():
    pool = scored(("a", 0.2), ("b", 0.9), (None, 5.0), ("c", None), ("d", 0.5))
    assert answers_of(run_stage(Best(keep=9), pool)) == ["b", "d", "a", "c"]
    assert answers_of(run_stage(Best(signal="other"), pool))[0] in "abcd"


def test_equal_outputs_enter_once_with_their_best():
    pool = scored(("a", 0.2), ("b", 0.5), ("a", 0.9))
    best = run_stage(Best(keep=3, merge="exact"), pool)
    assert [(r.answer, r.index) for r in best] == [("a", 2), ("b", 1)]


def test_a_judge_s_scores_are_means_over_the_orders():
    pool = Pool(tuple(Rollout(answer=a, index=i) for i, a in enumerate("abcde")))
    for group in (2, 3, 5):
        assert answers_of(run_stage(Best(by="judge", keep=5, group=group), pool, judge=Scoring())) == list(
            "edcba"
        )
    two = Pool(pool.rollouts[:2])
    # a has 9 shown first and 1 shown second, b 2 both times: the mean of a over both orders is 5.
    assert answers_of(run_stage(Best(by="judge"), two, judge=Scoring(blind="a"))) == ["a"]


def test_each_is_shown_in_one_group_as_often_as_there_are_votes():
    judge = ScriptedJudge()

    async def main():
        async with opened(judge=judge) as ledger:
            run = strategy_run(ledger, judge=judge)
            pool = await stored(Pool(tuple(Rollout(answer=str(i), index=i) for i in range(7))), run)
            await Pipeline(Best(by="judge", group=3, votes=3))(pool, run.scope())
            return [m.group for s in run.stages for m in s.matches], run.spending.verdicts

    groups, votes = anyio.run(main)
    assert sorted(map(len, groups)) == [3, 4]
    assert len({key for group in groups for key in group}) == 7
    assert votes == 6


# CodeT


def test_codet_scores_groups_by_the_root_of_their_size_times_the_tests_they_pass():
    passes = [[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    found = codet(passes)
    assert [(c.solutions, c.tests) for c in found] == [
        ((1, 2, 3), (0, 1)),
        ((0,), (0, 1, 2)),
        ((4,), (3,)),
        ((5,), ()),
    ]
    assert [c.score for c in found] == pytest.approx([2 * math.sqrt(3), 3.0, 1.0, 0.0])
    weighted = codet(passes, weights=[1, 1, 3, 1])
    assert (weighted[0].solutions, weighted[0].score) == ((0,), 5.0)


def test_codet_takes_what_there_is():
    assert codet([]) == []
    assert codet([[], []])[0].solutions == (0, 1)
    with pytest.raises(UsageError, match="one length"):
        codet([[1], [1, 0]])
    with pytest.raises(UsageError, match="one length"):
        codet([[1, 0]], weights=[1.0])


# Parameters


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Weighted(by="mean"), "'sum' or 'borda'"),
        (lambda: Weighted(p=-1.0), "p of 0 or more"),
        (lambda: Weighted(same="like"), "no equivalence"),
        (lambda: DeepConf(eta=0), "above 0 and up to 100"),
        (lambda: Adaptive(cap=0), "cap >= 1"),
        (lambda: Adaptive(level=1.5), "a level above 0"),
        (lambda: ESC(window=1), "2 <= window <= cap"),
        (lambda: ESC(window=9, cap=8), "2 <= window <= cap"),
        (lambda: Best(by="grade"), "'signal' or 'judge'"),
        (lambda: Best(group=1), "group >= 2"),
    ],
)
def test_bad_parameters_are_named(make, said):
    with pytest.raises(UsageError, match=said):
        make()


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("weighted@8", "sample(8) | weighted()"),
        ("borda@8", "sample(8) | weighted(signal='confidence_mean', by='borda')"),
        ("deepconf@32", "sample(32) | deepconf()"),
        ("adaptive@9", "adaptive(cap=9) | vote()"),
        ("esc@4", "esc(window=4, cap=4) | vote()"),
        ("best-of@8", "sample(8) | best()"),
    ],
)
def test_presets(name, written):
    assert str(resolve(name).run) == written
