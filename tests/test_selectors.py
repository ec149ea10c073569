"""What every selector keeps to, whatever the pool: add a stage to `SELECTORS` and it is held to all of it."""

import ast
import inspect
import os
import sys
from collections import Counter
from dataclasses import dataclass, replace

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tts_strategies.agentless import Agentless
from tts_strategies.arena import Arena
from tts_strategies.best import Best
from tts_strategies.blitz import Blitz
from tts_strategies.bradley_terry import BradleyTerry
from tts_strategies.codet import CodeT
from tts_strategies.cwm import CWM
from tts_strategies.deepconf import DeepConf
from tts_strategies.knockout import Knockout
from tts_strategies.league import League
from tts_strategies.mbr import MBR
from tts_strategies.panel import Panel
from tts_strategies.rtv import RTV
from tts_strategies.s_star import SStar
from tts_strategies.swiss import Swiss
from tts_strategies.tested import Tested
from tts_strategies.vote import Vote
from tts_strategies.weighted import Weighted

from tts.pipeline import Pipeline, needs
from tts.protocols import Scope
from tts.testing import ScriptedJudge, ScriptedTester, opened, stored, strategy_run
from tts.testing.scripted import ScriptedSummarizer
from tts.types import Budget, Pool, Rollout, Usage, Verdict

SELECTORS = [
    Vote(),
    Vote(ties="shortest"),
    Weighted(),
    Weighted(by="borda"),
    DeepConf(eta=40.0, signal="score"),
    Best(keep=2),
    Best(by="judge", group=3, votes=3, merge="exact"),
    RTV(keep=2, votes=3),
    Knockout(votes=2),
    League(opponents=2, votes=1),
    Swiss(keep=2),
    Blitz(group=3),
    BradleyTerry(votes=1),
    Arena(votes=8),
    Arena(votes=8, tests="own"),
    CodeT(n=2),
    Agentless(n=2, tests="own"),
    CWM(n=2),
    MBR(n=2),
    Tested(n=2),
    SStar(n=2),
    Panel(group=3, votes=3),
]

N_EXAMPLES = 25 if os.environ.get("TTS_THOROUGH", "") not in ("", "0") else 3
EXAMPLES = settings(max_examples=N_EXAMPLES, deadline=None, database=None, derandomize=True)
each = pytest.mark.parametrize("stage", SELECTORS, ids=str)

pools = st.lists(
    st.builds(
        Rollout,
        answer=st.sampled_from(["a", "b", "b.", "c", " ", None]),
        length=st.sampled_from([None, 1.0, 2.0]),
        signals=st.sampled_from([{}, {"score": 0.5}, {"score": 1.0}, {"score": -1.0}, {"other": 2.0}]),
        status=st.sampled_from(["finished", "failed"]),
    ),
    min_size=2,
    max_size=6,
).map(lambda rollouts: Pool(tuple(replace(r, index=i) for i, r in enumerate(rollouts))))


@dataclass(frozen=True)
class Judge:
    """Prefers the last answer by name and scores all who are shown; `price` dollars a verdict."""

    price: float = 0.0
    fingerprint: str = "judge"

    @property
    def bound(self):
        return Budget(usd=self.price, tokens=1, seconds=1.0, rollouts=0)

    async def compare(self, task, shown, *, n=1):
        scores = tuple(float(ord((c.rollout.answer or "@")[0])) for c in shown)
        best = shown[scores.index(max(scores))].rollout.key
        usage = Usage(calls=1, output_tokens=1, known_usd=self.price)
        return [Verdict(preferred=best, scores=scores, usage=usage)] * n


class Priced(ScriptedTester):
    """A scripted tester whose suites and runs cost what its bound says."""

    async def write(self, *args, **more):
        usage = Usage(calls=1, output_tokens=1, known_usd=self.bound.usd)
        return [replace(suite, usage=usage) for suite in await ScriptedTester.write(self, *args, **more)]

    async def execute(self, *args):
        usage = Usage(calls=1, output_tokens=1, known_usd=self.bound.usd)
        return replace(await ScriptedTester.execute(self, *args), usage=usage)


class Guarded:
    """A scope that lends a stage nothing but what the protocol names, and no grade."""

    def __init__(self, scope):
        self._scope = scope

    def __getattr__(self, name):
        assert name in vars(Scope), f"a stage asked its scope for {name!r}"
        return getattr(self._scope, name)

    def effect(self, kind, *args, **more):
        assert kind != "grade"
        return self._scope.effect(kind, *args, **more)

    def enter(self, *args, **more):
        return Guarded(self._scope.enter(*args, **more))


def chosen(stage, pool, *, judge=None, turn=None, budget=Budget(), seed=0):
    """Return the pool as stored, what the stage made of it, and the run; `turn` permutes the arrival."""
    judge = judge or Judge()
    summarizer = ScriptedSummarizer(bound=Budget(usd=0.0, tokens=0, seconds=1.0, rollouts=0))
    price = Budget(usd=getattr(judge, "price", 0.0), tokens=1, seconds=1.0, rollouts=0)
    people = {"judge": judge, "summarizer": summarizer, "tester": Priced(bound=price)}

    async def main():
        async with opened(**people) as ledger:
            run = strategy_run(ledger, **people, budget=budget, seed=seed)
            given = await stored(pool, run)
            if turn is not None:
                given = replace(given, rollouts=tuple(given.rollouts[i] for i in turn))
            return given, await Pipeline(stage)(given, Guarded(run.scope())), run

    return anyio.run(main)


def picked(given, made):
    """Check that a selector's pool is ranked, holds what it was given, each once, and is not lost."""
    assert all(rollout in given.rollouts for rollout in made)
    assert max(Counter(made.keys).values(), default=1) == 1
    assert bool(made.rollouts) == bool(given.rollouts)
    usable = [r for r in given if (r.output or "").strip()]
    assert not usable or (made.winner.output or "").strip(), "an attempt without an output was preferred"


@each
@EXAMPLES
@given(pool=pools, data=st.data())
def test_they_pick_never_invent_and_do_not_mind_who_came_first(stage, pool, data):
    turn = data.draw(st.permutations(range(len(pool))))
    given, made, _ = chosen(stage, pool)
    picked(given, made)
    assert made.ranked
    assert not made.incomplete
    assert chosen(stage, pool, turn=turn)[1] == made


@each
@EXAMPLES
@given(pool=pools, usd=st.integers(0, 12))
def test_they_never_pass_their_budget(stage, pool, usd):
    given, made, run = chosen(stage, pool, judge=Judge(price=1.0), budget=Budget(usd=float(usd)))
    picked(given, made)
    assert sum(use.usage.known_usd for use in run.uses.values()) <= usd


@each
@EXAMPLES
@given(pool=pools)
def test_they_survive_a_judge_that_abstains(stage, pool):
    silent = ScriptedJudge(value=lambda candidate: None)
    given, made, _ = chosen(stage, pool, judge=silent)
    picked(given, made)
    assert made.keys == chosen(stage, pool, judge=silent)[1].keys
    assert not silent.asked or "judge" in needs(stage)


@each
def test_they_know_of_no_grade(stage):
    module = sys.modules[type(stage).__module__]
    names = {n.id for n in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(n, ast.Name)}
    assert names.isdisjoint({"Grade", "Grader", "Grades"})
