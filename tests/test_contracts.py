from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from tts_strategies.race import Race
from tts_strategies.refine import Refine
from tts_strategies.rtv import RTV
from tts_strategies.sample import Sample
from tts_strategies.vote import Vote

import tts
from tts.demo import Habits, RepairAgent, tasks, warm_tests
from tts.judges.evidence import EvidenceJudge
from tts.summarizers.extractive import ExtractiveSummarizer
from tts.testing import (
    TASK,
    AgentContract,
    JudgeContract,
    ScriptedAgent,
    ScriptedJudge,
    StageContract,
    run_stage,
)
from tts.types import Budget, Candidate, Pool, Rollout, Step, Verdict
from tts.workspaces.git import GitWorkspaces


class TestSample(StageContract):
    stage = Sample(3)


class TestRace(StageContract):
    stage = Race(k=5, m=2)


class TestRaceByArrival(StageContract):
    stage = Race(k=3, m=3, halt="arrival")


class TestVote(StageContract):
    stage = Vote()


class TestVoteShortest(StageContract):
    stage = Vote(same="number", ties="shortest")
    pool = Pool(
        tuple(
            Rollout(answer=answer, index=i, length=length)
            for i, (answer, length) in enumerate(
                [("1", 3.0), ("1.0", None), ("2", 2.0), ("3", 2.0), ("x", 1.0)]
            )
        )
    )


class TestVoteFirst(StageContract):
    stage = Vote(same="exact", ties="first")


class TestVoteByFunction(StageContract):
    stage = Vote(same=lambda a, b: a[0] == b[0])


class TestRTV(StageContract):
    stage = RTV()


class TestRTVToFour(StageContract):
    stage = RTV(keep=4, group=3, votes=3, tie_rounds=1)


class TestRTVOfAll(StageContract):
    stage = RTV(group=16, merge=None)


class TestRTVByEvidence(StageContract):
    stage = RTV(merge="text")
    judge = EvidenceJudge()


class TestRefine(StageContract):
    stage = Refine(3)


class TestRefineSingle(StageContract):
    stage = Refine(5, priors="single", final="all")


class TestRefineRandom(StageContract):
    stage = Refine(4, priors="random", k=2)


async def _shout(task, attempt):
    attempt.record(Step(action="shout"))
    await anyio.lowlevel.checkpoint()
    return task.prompt.upper()


def _whisper(task):
    return task.prompt.lower()


async def _endless(task, attempt):
    attempt.record(Step(action="wait"))
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.lowlevel.checkpoint()
    raise AssertionError("unreachable")


class TestFunctionAgent(AgentContract):
    agent = tts.agent(_shout)


class TestSyncFunctionAgent(AgentContract):
    agent = tts.agent(_whisper)
    records = False


class TestScriptedAgent(AgentContract):
    agent = ScriptedAgent()


class TestAgentThatIsCut(AgentContract):
    agent = ScriptedAgent(_endless, bound=Budget(seconds=0.05))


def _shown(key: str, answer: str, patch: str | None, *steps: Step) -> Candidate:
    rollout = Rollout(key=key, answer=answer, patch=patch)
    return Candidate(rollout, anyio.run(ExtractiveSummarizer().summarize, TASK, rollout, steps))


def _patch(name: str) -> str:
    return f"diff --git a/{name} b/{name}\n--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-a\n+b\n"


class TestEvidenceJudge(JudgeContract):
    judge = EvidenceJudge()
    candidates = (
        _shown("k1", "done", _patch("a.py"), Step(action="pytest", observation="1 failed", returncode=1)),
        _shown("k2", "done", _patch("b.py"), Step(action="pytest", observation="1 passed", returncode=0)),
        _shown("k3", "it works, trust me", ""),
    )


class TestEvidenceJudgeWithoutEvidence(JudgeContract):
    judge = EvidenceJudge()


class TestScriptedJudge(JudgeContract):
    judge = ScriptedJudge()


class TestAbstainingJudge(JudgeContract):
    judge = ScriptedJudge(value=lambda candidate: None)


# The contracts themselves must be able to fail: each of these breaks one rule.


@dataclass(frozen=True, slots=True)
class Inventing:
    async def __call__(self, pool, scope):
        return Pool((Rollout(key="new", answer="better"),))


@dataclass(frozen=True, slots=True)
class Losing:
    async def __call__(self, pool, scope):
        return Pool()


@dataclass(frozen=True, slots=True)
class Doubling:
    async def __call__(self, pool, scope):
        return replace(pool, rollouts=(*pool.rollouts, *pool.rollouts))


@dataclass(frozen=True, slots=True)
class Arriving:
    async def __call__(self, pool, scope):
        return replace(pool, rollouts=pool.rollouts[:1], ranked=True)


@dataclass(frozen=True, slots=True)
class Brittle:
    async def __call__(self, pool, scope):
        return replace(pool, rollouts=(max(pool, key=lambda r: r.answer),))


@dataclass(frozen=True, slots=True)
class Trusting:
    async def __call__(self, pool, scope):
        (tally,) = await scope.compare([pool.rollouts], votes=1)
        winner = tally.verdicts[0].preferred
        return replace(pool, rollouts=tuple(r for r in pool if r.key == winner))


class Counting:
    def __init__(self):
        self.calls = 0

    async def __call__(self, pool, scope):
        self.calls += 1
        return replace(pool, rollouts=pool.rollouts[: self.calls], ranked=True)


def _broken(contract, **attributes):
    """Return the names of the contract's tests that fail."""
    case = type("Case", (contract,), attributes)()
    failed = set()
    for name in (name for name in dir(case) if name.startswith("test_")):
        try:
            getattr(case, name)()
        except Exception:  # noqa: BLE001 - any failure counts
            failed.add(name)
    return failed


@pytest.mark.parametrize(
    ("stage", "rule"),
    [
        (Inventing(), "test_it_picks_and_never_invents"),
        (Losing(), "test_it_picks_and_never_invents"),
        (Doubling(), "test_it_picks_and_never_invents"),
        (Arriving(), "test_the_order_of_arrival_does_not_matter"),
        (Brittle(), "test_it_survives_poor_pools"),
        (Trusting(), "test_it_survives_poor_judges"),
        (Trusting(), "test_without_a_budget_it_returns_what_it_has"),
        (Counting(), "test_it_keeps_no_state_between_calls"),
        (Counting(), "test_it_is_frozen"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_the_stage_contract_finds_a_broken_rule(stage, rule):
    assert rule in _broken(StageContract, stage=stage)


def test_a_good_stage_breaks_no_rule():
    assert _broken(StageContract, stage=RTV()) == set()


async def _number(task, attempt):
    return 3


async def _slow_to_end(task, attempt):
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            for _ in range(300):
                await anyio.lowlevel.checkpoint()


def test_the_agent_contract_finds_a_wrong_type_and_missing_steps():
    failed = _broken(AgentContract, agent=tts.agent(_number))
    assert {"test_it_returns_a_rollout", "test_it_records_its_steps"} <= failed


def test_the_agent_contract_finds_a_slow_end():
    agent = ScriptedAgent(_slow_to_end, bound=Budget(seconds=0.01))
    assert "test_it_honours_cancellation" in _broken(AgentContract, agent=agent, turns=200)
    assert "test_it_honours_cancellation" not in _broken(AgentContract, agent=agent, turns=400)


@dataclass(frozen=True)
class BadJudge:
    fingerprint: str = "bad"
    seen: tuple[int, ...] = ()

    async def compare(self, task, shown: Sequence[Candidate], *, n: int = 1):
        shown[0].rollout.signals["seen"] = 1.0
        return [Verdict(preferred="somebody")]


def test_the_judge_contract_finds_broken_rules():
    assert _broken(JudgeContract, judge=BadJudge()) == {
        "test_it_gives_as_many_verdicts_as_asked",
        "test_it_prefers_somebody_shown_or_abstains",
        "test_it_changes_nothing_that_it_is_shown",
    }


def test_the_contract_of_a_plain_function_needs_staticmethod():
    async def first(pool, scope):
        return replace(pool, rollouts=tuple(sorted(pool, key=lambda r: r.key)[:1]), ranked=True)

    assert _broken(StageContract, stage=staticmethod(first)) == set()
    assert len(run_stage(first, StageContract.pool)) == 1


def test_contracts_are_exported_where_authors_look():
    import tts.testing

    assert {"StageContract", "AgentContract", "JudgeContract"} <= set(tts.testing.__all__)
    assert Path(tts.testing.__file__).name == "__init__.py"


@dataclass(frozen=True, slots=True)
class WarmRepair:
    """The demo's agent with a test process of its own, so that each test can open and close it."""

    fingerprint: str = RepairAgent(None).fingerprint
    bound: Budget = RepairAgent.bound

    async def run(self, task, attempt):
        async with warm_tests() as harness:
            return await RepairAgent(harness, Habits(n_trials=3)).run(task, attempt)


class TestDemoAgent(AgentContract):
    agent = WarmRepair()
    turns = 500_000  # processes are ended and a clone is removed meanwhile

    @pytest.fixture(autouse=True)
    def in_a_repository(self, tmp_path):
        self.task = tasks(tmp_path / "repositories")[0]
        self.workspaces = GitWorkspaces(tmp_path / "workspaces")
