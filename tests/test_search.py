"""Refinement and search: Self-Refine, RSA, AB-MCTS, and the presets of PDR's variants."""

from dataclasses import dataclass, field
from importlib.util import find_spec
from random import Random

import anyio
import numpy as np
import pytest
from tts_strategies.ab_mcts import ABMCTS, Tree
from tts_strategies.rsa import RSA
from tts_strategies.self_refine import SelfRefine

from tts.errors import UsageError
from tts.pipeline import Pipeline
from tts.registry import resolve
from tts.testing import ScriptedAgent, ScriptedJudge, StageContract, opened, stored, strategy_run
from tts.types import FREE, Budget, Pool, Rollout, Summary

needs_treequest = pytest.mark.skipif(find_spec("treequest") is None, reason="needs the extra `search`")


class TestSelfRefine(StageContract):
    stage = SelfRefine(rounds=2)


class TestSelfRefineUntilVerified(StageContract):
    stage = SelfRefine(rounds=2, stop="verified")


class TestRSA(StageContract):
    stage = RSA(3, k=2, steps=2)


@needs_treequest
class TestABMCTS(StageContract):
    stage = ABMCTS(5)


@needs_treequest
class TestABMCTSByASignal(StageContract):
    stage = ABMCTS(6, signal="passed", batch=3, prior="beta")


@dataclass(frozen=True, slots=True)
class Telling:
    """A summarizer that claims the output; a function of the output says what captured output confirms."""

    verified: object = lambda output: False
    fingerprint: str = "telling"
    bound: Budget = FREE

    async def summarize(self, task, rollout, steps):
        confirmed = ("the tests pass",) if self.verified(rollout.output) else ()
        return Summary(claims=(rollout.output or "",), verified=confirmed)


@dataclass
class Played:
    pool: Pool
    run: object
    made: list = field(default_factory=list)

    @property
    def answers(self):
        return [rollout.answer for rollout in self.pool]


def play(stage, pool=Pool(), *, script, judge=None, summarizer=None, seed=0, budget=Budget()):
    """Run a stage with an agent that is a function of an attempt; `made` are the attempts in their order."""
    made = []

    async def run(task, attempt):
        made.append(attempt)
        return script(attempt)

    agent, judge, summarizer = ScriptedAgent(run), judge or ScriptedJudge(), summarizer or Telling()

    async def main():
        async with opened(agent=agent, judge=judge, summarizer=summarizer) as ledger:
            cast = {"agent": agent, "judge": judge, "summarizer": summarizer}
            strategy = strategy_run(ledger, **cast, seed=seed, budget=budget)
            given = await stored(pool, strategy)
            return Played(await Pipeline(stage)(given, strategy.scope()), strategy, made)

    return anyio.run(main)


def longer(attempt):
    """Answer with one letter more than the longest prior."""
    return Rollout(answer="x" * (1 + max((len(prior.claims[0]) for prior in attempt.priors), default=0)))


ONE = Pool((Rollout(answer="x"),))


# Self-Refine


def test_a_chain_goes_through_four_rounds():
    played = play(SelfRefine(), ONE, script=longer)
    assert played.answers == ["xxxxx"]
    assert [attempt.priors[0].claims[0] for attempt in played.made] == ["x", "xx", "xxx", "xxxx"]
    assert all(len(attempt.priors) == 1 for attempt in played.made)
    assert not played.pool.incomplete


def test_it_stops_where_the_judge_prefers_the_older():
    judge = ScriptedJudge(value=lambda candidate: -abs(len(candidate.rollout.answer) - 3))
    played = play(SelfRefine(), ONE, script=longer, judge=judge)
    assert played.answers == ["xxx"]
    assert len(played.made) == 3
    assert not played.pool.incomplete


def test_a_judge_that_cannot_tell_does_not_stop_it():
    for value in (lambda candidate: None, lambda candidate: 0):
        assert play(SelfRefine(rounds=2), ONE, script=longer, judge=ScriptedJudge(value=value)).answers == [
            "xxx"
        ]


def test_it_stops_where_captured_output_confirms_it():
    told = Telling(verified=lambda output: len(output) == 3)
    played = play(SelfRefine(stop="verified"), ONE, script=longer, summarizer=told)
    assert played.answers == ["xxx"]
    assert len(played.made) == 2
    assert played.run.spending.verdicts == 0


def test_never_goes_through_all_rounds_and_hands_in_the_newest():
    worse = ScriptedJudge(value=lambda candidate: -len(candidate.rollout.answer))
    assert play(SelfRefine(3, stop="never"), ONE, script=longer, judge=worse).answers == ["xxxx"]


def test_an_attempt_without_an_output_ends_its_chain():
    played = play(SelfRefine(stop="never"), ONE, script=lambda attempt: Rollout(answer=""))
    assert played.answers == ["x"]
    assert len(played.made) == 1


def test_each_of_the_pool_is_refined_by_itself():
    pool = Pool(tuple(Rollout(answer=a, index=i) for i, a in enumerate(("a", "bb", "ccc"))))
    judge = ScriptedJudge(value=lambda candidate: min(len(candidate.rollout.answer), 3))
    played = play(SelfRefine(), pool, script=longer, judge=judge)
    assert len(played.pool) == 3
    priors = [tuple(prior.claims[0] for prior in attempt.priors) for attempt in played.made]
    assert {("a",), ("bb",), ("ccc",)} <= set(priors)


def test_a_chain_that_was_cut_short_is_incomplete():
    played = play(SelfRefine(), ONE, script=longer, budget=Budget(rollouts=2))
    assert played.pool.incomplete
    assert played.answers == ["xxx"]
    assert play(SelfRefine(), script=longer).pool == Pool(incomplete=True)


def test_what_self_refine_needs_depends_on_what_stops_it():
    assert "judge" in SelfRefine().needs
    assert "judge" not in SelfRefine(stop="verified").needs
    for wrong in ({"rounds": 0}, {"votes": 0}, {"stop": "enough"}):
        with pytest.raises(UsageError, match="self_refine"):
            SelfRefine(**wrong)


# RSA


def test_the_population_of_the_paper():
    """N = 16, K = 4: each step makes 16 from random fours of the step before, nobody twice in a four."""
    played = play(RSA(steps=2), script=lambda attempt: Rollout(answer=f"{attempt.index}"))
    assert (RSA().n, RSA().k, RSA().steps) == (16, 4, 10)
    assert len(played.made) == 16 * 3
    fours = [tuple(sorted(prior.rollout for prior in attempt.priors)) for attempt in played.made[16:]]
    assert {len(set(four)) for four in fours} == {4}
    assert len(set(fours)) > 16
    first = [key for four in fours[:16] for key in four]
    second = [key for four in fours[16:] for key in four]
    assert not set(first) & set(second)
    assert {rollout.iteration for rollout in played.pool} == {2}


def test_a_population_agrees_more_from_step_to_step():
    """An aggregation that takes the most frequent of its four: right ones spread, and variety is lost."""

    def aggregate(attempt):
        if not attempt.priors:
            return Rollout(answer="right" if attempt.index % 2 else f"wrong {attempt.index}")
        claims = [prior.claims[0] for prior in attempt.priors]
        return Rollout(answer=max(sorted(claims), key=claims.count))

    answers = {steps: play(RSA(12, steps=steps), script=aggregate).answers for steps in (1, 4)}
    assert answers[4].count("right") >= answers[1].count("right") > 6
    assert len(set(answers[4])) <= len(set(answers[1])) < 7


def test_a_pool_that_is_there_is_the_first_population():
    pool = Pool(tuple(Rollout(answer=f"{i}", index=i) for i in range(5)))
    played = play(RSA(3, k=2, steps=1), pool, script=longer)
    assert len(played.made) == 3
    with pytest.raises(UsageError, match="rsa takes n, k and steps"):
        RSA(steps=0)


# AB-MCTS


def graded(score):
    """Return a script whose rollouts carry a score, a function of their depth."""

    def run(attempt):
        depth = int(attempt.priors[0].claims[0].split()[0]) + 1 if attempt.priors else 0
        return Rollout(answer=f"{depth} {attempt.index}", signals={"passed": score(depth)})

    return run


def depths(played):
    return sorted(int(answer.split()[0]) for answer in played.answers)


@needs_treequest
def test_it_goes_deeper_where_refining_pays_and_wider_where_it_does_not():
    """The point of the paper: neither width nor depth is set beforehand."""
    deep = [
        depths(play(ABMCTS(24, signal="passed"), script=graded(lambda d: min(1.0, 0.2 * d)), seed=s))
        for s in (0, 1)
    ]
    wide = [
        depths(play(ABMCTS(24, signal="passed"), script=graded(lambda d: 0.6 * (d == 0)), seed=s))
        for s in (0, 1)
    ]
    assert sum(map(sum, deep)) > 2 * sum(map(sum, wide))
    assert sum(found.count(0) for found in wide) > sum(found.count(0) for found in deep)


@needs_treequest
def test_a_refined_rollout_sees_its_parent_only_and_the_best_comes_first():
    played = play(ABMCTS(12, signal="passed"), script=graded(lambda d: min(1.0, 0.3 * d)))
    assert all(len(attempt.priors) <= 1 for attempt in played.made)
    scores = [rollout.signals["passed"] for rollout in played.pool]
    assert scores == sorted(scores, reverse=True)
    assert len(played.pool) == len(played.made) == 12
    fresh = [attempt.index for attempt in played.made if not attempt.priors]
    assert fresh == list(range(len(fresh)))  # the attempts that every other strategy makes


@needs_treequest
@pytest.mark.parametrize("batch", [1, 4])
def test_the_same_run_makes_the_same_tree_whatever_else_draws(batch):
    stage = ABMCTS(10, signal="passed", batch=batch)
    first = play(stage, script=graded(lambda d: 0.1 * d))
    np.random.seed(7)
    before = np.random.get_state()[1].tolist()
    again = play(stage, script=graded(lambda d: 0.1 * d))
    assert again.pool.keys == first.pool.keys
    assert np.random.get_state()[1].tolist() == before
    others = [play(stage, script=graded(lambda d: 0.1 * d), seed=seed).pool.keys for seed in range(1, 4)]
    assert any(keys != first.pool.keys for keys in others)


@needs_treequest
def test_a_resumed_search_makes_what_is_missing():
    """What a first run with a smaller budget made is the beginning of the whole one."""
    stage = ABMCTS(9, signal="passed")
    part = play(stage, script=graded(lambda d: 0.2 * d), budget=Budget(rollouts=4))
    whole = play(stage, script=graded(lambda d: 0.2 * d))
    assert part.pool.incomplete
    assert not whole.pool.incomplete
    assert set(part.pool.keys) < set(whole.pool.keys)


@needs_treequest
def test_a_judge_scores_by_the_share_of_votes_won():
    played = play(ABMCTS(6, rivals=2, votes=2), script=graded(lambda d: 0.0))
    assert played.run.spending.verdicts == 2 * (1 + 2 + 2 + 2 + 2)
    assert len(played.pool) == 6


@needs_treequest
def test_what_failed_scores_nothing():
    played = play(
        ABMCTS(4, signal="passed"), script=lambda attempt: Rollout(answer="", signals={"passed": 1.0})
    )
    assert len(played.pool) == 4
    wild = play(
        ABMCTS(4, signal="passed"), script=lambda attempt: Rollout(answer="a", signals={"passed": 7.0})
    )
    assert len(wild.pool) == 4


@needs_treequest
def test_children_are_numbered_by_their_parent():
    tree = Tree("gaussian")
    asked = tree.ask(3, Random(0))
    assert [(parent, child) for _, parent, child in asked] == [(None, 0), (None, 1), (None, 2)]


def test_ab_mcts_says_what_it_lacks(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "treequest", None)
    with pytest.raises(UsageError, match=r"pip install 'tts-scaling\[search\]'"):
        Tree("gaussian")


def test_ab_mcts_needs_a_judge_where_no_signal_scores():
    assert "judge" in ABMCTS().needs
    assert "judge" not in ABMCTS(signal="passed").needs
    for wrong in ({"n": 0}, {"batch": 0}, {"rivals": 0}, {"votes": 0}, {"prior": "flat"}):
        with pytest.raises(UsageError, match="ab_mcts"):
            ABMCTS(**wrong)


# Presets


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("self-refine", "sample(1) | self_refine()"),
        ("rsa@8", "rsa(n=8) | vote()"),
        ("ab-mcts@8", "ab_mcts(n=8)"),
        ("pdr-single@8", "sample(8) | refine(8, priors='single')"),
        ("pdr@8", "sample(8) | refine(8, priors='random')"),
        ("select-k@8", "sample(8) | rtv(keep=4) | refine(8)"),
        ("per-sample@8", "pdr(rounds=(8, 4, 2), distill='per-sample') | vote()"),
    ],
)
def test_presets_are_written_out(name, text):
    assert resolve(name).text == text
    assert resolve(text).run.stages == resolve(name).run.stages
