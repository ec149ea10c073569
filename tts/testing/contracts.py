"""What every stage, agent and judge keeps to, as tests that authors of plug-ins subclass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import Field, dataclass, field, fields, is_dataclass, replace
from random import Random
from typing import Any, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from tts.executors.rollout import RolloutRunner
from tts.pipeline import Pipeline, label, needs
from tts.protocols import Agent, Attempt, Author, Judge, Stage, Tester, Workspaces, bound_of
from tts.registry import plugins, resolve
from tts.scope import StrategyRun
from tts.suites import Execution, Suite, SuiteKind
from tts.testing.scripted import (
    TASK,
    FailingJudge,
    ScriptedAgent,
    ScriptedJudge,
    ScriptedSummarizer,
    ScriptedTester,
    numbered,
    opened,
    stored,
    strategy_run,
)
from tts.types import FREE, Budget, Candidate, Effect, Pool, Rollout, Step, Summary, Task, Usage, Verdict

T = TypeVar("T")

DOLLAR = Usage(calls=1, output_tokens=1, known_usd=1.0)
"""What a call of the priced performers of `StageContract` costs; their bound is the same."""


async def _paid(task: Task, attempt: Attempt) -> Rollout:
    attempt.spend(DOLLAR)
    return await numbered(task, attempt)


PRICE = Budget(usd=1.0, tokens=1, seconds=1.0, rollouts=0)


class _PaidTester(ScriptedTester):
    async def write(
        self, task: Task, kind: SuiteKind, authors: Sequence[Author], *, n: int = 1, start: int = 0
    ) -> list[Suite]:
        return [
            replace(suite, usage=DOLLAR)
            for suite in await ScriptedTester.write(self, task, kind, authors, n=n, start=start)
        ]

    async def execute(self, task: Task, suite: Suite, rollout: Rollout | None) -> Execution:
        return replace(await ScriptedTester.execute(self, task, suite, rollout), usage=DOLLAR)


@dataclass(frozen=True, slots=True)
class _FailingTester:
    """A tester that raises an error each time it is asked."""

    error: Exception
    fingerprint: str = "failing"
    bound: Budget = FREE

    async def write(
        self, task: Task, kind: SuiteKind, authors: Sequence[Author], *, n: int = 1, start: int = 0
    ) -> list[Suite]:
        raise self.error

    async def execute(self, task: Task, suite: Suite, rollout: Rollout | None) -> Execution:
        raise self.error


class _PaidJudge:
    fingerprint = "paid"
    bound = PRICE

    async def compare(self, task: Task, shown: Sequence[Candidate], *, n: int = 1) -> list[Verdict]:
        return [Verdict(preferred=shown[-1].rollout.key, usage=DOLLAR)] * n


def _pool(*answers: str | None) -> Pool:
    return Pool(tuple(Rollout(answer=a, index=i, length=float(9 - i)) for i, a in enumerate(answers)))


class StageContract:
    """What every stage keeps to, as tests: write `class TestMine(StageContract)` and set `stage` there.

    `pool` holds attempts that exist already; `agent` and `judge` are what the stage may ask. A stage that
    names no agent in its `needs` is a selector: it picks from the pool. A plain function as a stage needs
    `staticmethod` around it.
    """

    stage: Stage
    pool: Pool = _pool("a", "b", "b", None, "c", " ", "d")
    agent: Agent = ScriptedAgent()
    judge: Judge = ScriptedJudge()
    tester: Tester = ScriptedTester()

    def made(
        self,
        pool: Pool | None = None,
        *,
        judge: Judge | None = None,
        tester: Tester | None = None,
        shuffle: int | None = None,
        paid: Budget | None = None,
    ) -> tuple[Pool, Pool, StrategyRun]:
        """Return the pool as stored, what the stage made of it, and the run.

        `shuffle` seeds the order in which the pool arrives; with `paid` every call costs a dollar, and
        that is the budget.
        """
        price = replace(_PaidJudge.bound, rollouts=1)
        agent = self.agent if paid is None else ScriptedAgent(_paid, bound=price)
        summarizer = ScriptedSummarizer(bound=FREE if paid is None else _PaidJudge.bound)
        asked = (judge or self.judge) if paid is None else _PaidJudge()
        tests = (tester or self.tester) if paid is None else _PaidTester(bound=PRICE)
        people: Any = {"agent": agent, "summarizer": summarizer, "judge": asked, "tester": tests}

        async def main() -> tuple[Pool, Pool, StrategyRun]:
            async with opened(**people) as ledger:
                run = strategy_run(ledger, **people, budget=paid or Budget())
                given = await stored(self.pool if pool is None else pool, run)
                order = list(given) if shuffle is None else Random(shuffle).sample(list(given), len(given))
                given = replace(given, rollouts=tuple(order))
                return given, await Pipeline(self.stage)(given, run.scope()), run

        return anyio.run(main)

    @property
    def selects(self) -> bool:
        """Whether the stage is a selector."""
        return "agent" not in needs(self.stage)

    def check(self, given: Pool, made: Pool, run: StrategyRun) -> None:
        """Check that each rollout is from the pool or, unless the stage selects, from the run; each once."""
        assert len(set(made.keys)) == len(made), f"a rollout comes twice: {made.keys}"
        for rollout in made:
            new = not self.selects and run.uses[rollout.key].kind == "rollout"
            assert rollout in given.rollouts or new, f"{rollout} was not in the pool"
        assert made.rollouts or not (self.selects and given.rollouts), "a selector lost the whole pool"

    def test_it_picks_and_never_invents(self) -> None:
        self.check(*self.made())

    def test_it_keeps_no_state_between_calls(self) -> None:
        before = repr(self.stage)
        first, second = self.made()[1], self.made()[1]
        assert (first.keys, first.ranked, first.incomplete) == (second.keys, second.ranked, second.incomplete)
        assert repr(self.stage) == before

    def test_the_order_of_arrival_does_not_matter(self) -> None:
        pools = [self.made(shuffle=seed)[1] for seed in range(4)]
        assert len({pool.keys if pool.ranked else tuple(sorted(pool.keys)) for pool in pools}) == 1

    def test_it_survives_poor_pools(self) -> None:
        for answers in ((), ("a",), (None,), (None, None, None, None, None), (" ", "", None)):
            self.check(*self.made(_pool(*answers)))

    def test_it_survives_poor_judges(self) -> None:
        silent = ScriptedJudge(value=lambda candidate: None)
        for judge in (silent, FailingJudge(), FailingJudge(ConnectionError("no network"))):
            self.check(*self.made(judge=judge))

    def test_it_survives_poor_testers(self) -> None:
        if "tester" in needs(self.stage):
            for error in (RuntimeError("this tester always fails"), ConnectionError("no network")):
                self.check(*self.made(tester=_FailingTester(error)))

    def test_without_a_budget_it_returns_what_it_has(self) -> None:
        given, made, run = self.made(paid=Budget(usd=0.0, tokens=0, seconds=0.0, rollouts=0))
        self.check(given, made, run)
        assert {use.kind for use in run.uses.values()} <= {"given"}

    def test_it_never_exceeds_its_budget(self) -> None:
        for usd in (0.5, 1.0, 2.5, 7.0, 20.0):
            given, made, run = self.made(paid=Budget(usd=usd))
            self.check(given, made, run)
            spent = sum(use.usage.known_usd for use in run.uses.values() if use.kind != "given")
            assert spent <= usd, f"it spent {spent} of {usd} dollars"

    def test_it_is_frozen(self) -> None:
        names = [f.name for f in _fields(self.stage)] or list(getattr(self.stage, "__dict__", {}))
        for name in names:
            try:
                setattr(self.stage, name, getattr(self.stage, name))
            except AttributeError:
                continue
            raise AssertionError(f"{name} can be set: make the stage a frozen dataclass")

    def test_its_text_parses_back(self) -> None:
        text = label(self.stage)
        written = not any(callable(getattr(self.stage, f.name)) for f in _fields(self.stage))
        if written and text.partition("(")[0] in plugins("tts.stages"):
            assert resolve(text).run.stages == (self.stage,)


def _fields(stage: object) -> Sequence[Field[Any]]:
    return fields(stage) if is_dataclass(stage) and not isinstance(stage, type) else ()


@dataclass(slots=True)
class _Heard:
    """The ears of an attempt without a ledger."""

    steps_heard: list[Step] = field(default_factory=list[Step])

    def load(self, key: str, returns: type[T]) -> T:
        raise KeyError(key)

    def steps(self, key: str) -> Sequence[Step]:
        raise KeyError(key)

    def began(self) -> None:
        """It begins at once."""

    def record(self, step: Step) -> None:
        self.steps_heard.append(step)

    def spend(self, usage: Usage) -> None:
        """An attempt counts its usage itself."""

    def progress(
        self, length: float | None, *, thought: bool = False, signals: Mapping[str, float] | None = None
    ) -> None:
        """Nobody waits for news."""


class AgentContract:
    """What every agent keeps to: subclass it and set `agent`; `task` and `workspaces` where it needs them.

    `records` is False for an agent that shows no steps. `turns` is how often the event loop may turn
    between a cancellation and its end, clean-up included.
    """

    agent: Agent
    task: Task = TASK
    workspaces: Workspaces | None = None
    records: bool = True
    turns: int = 1000

    def effect(self) -> Effect[Rollout]:
        """Return the rollout that the tests ask for."""
        return Effect("rollout", self.task, Rollout, self.agent.fingerprint, bound=bound_of(self.agent))

    async def attempt(self, heard: _Heard) -> Rollout:
        """Return the rollout of one attempt."""
        (rollout,) = await RolloutRunner(self.agent, self.workspaces).perform([self.effect()], heard)
        return rollout

    def test_its_fingerprint_is_a_lasting_text(self) -> None:
        assert isinstance(self.agent.fingerprint, str)
        assert self.agent.fingerprint == self.agent.fingerprint != ""

    def test_it_returns_a_rollout(self) -> None:
        rollout = anyio.run(self.attempt, _Heard())
        assert rollout.status in ("finished", "limit"), f"the agent raised or gave up: {rollout.error}"

    def test_it_records_its_steps(self) -> None:
        heard = _Heard()
        rollout = anyio.run(self.attempt, heard)
        assert rollout.n_steps == len(heard.steps_heard)
        assert bool(heard.steps_heard) == self.records, f"{len(heard.steps_heard)} steps were recorded"

    def test_it_honours_cancellation(self) -> None:
        for start in (1, 5, 25):
            turns = anyio.run(self._turns_to_end, start)
            assert turns <= self.turns, f"cancelled after {start} turns, it ended {turns} turns later"

    async def _turns_to_end(self, start: int) -> int:
        ended = anyio.Event()

        async def run() -> None:
            try:
                await self.attempt(_Heard())
            finally:
                ended.set()

        turns = 0
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            for _ in range(start):
                await checkpoint()
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                while not ended.is_set():
                    await checkpoint()
                    turns += 1
        return turns


def _candidates(*answers: str) -> tuple[Candidate, ...]:
    rollouts = (Rollout(key=f"key-{answer}", answer=answer) for answer in answers)
    return tuple(Candidate(r, Summary(rollout=r.key, claims=(r.answer or "",))) for r in rollouts)


class JudgeContract:
    """What every judge keeps to: subclass it and set `judge`; `task` and `candidates` where it needs them."""

    judge: Judge
    task: Task = TASK
    candidates: Sequence[Candidate] = _candidates("a", "b", "c")

    def verdicts(self, candidates: Sequence[Candidate], n: int = 1) -> list[Verdict]:
        """Return what the judge says of candidates."""

        async def main() -> list[Verdict]:
            return await self.judge.compare(self.task, candidates, n=n)

        return anyio.run(main)

    def test_its_fingerprint_is_a_lasting_text(self) -> None:
        assert isinstance(self.judge.fingerprint, str)
        assert self.judge.fingerprint == self.judge.fingerprint != ""

    def test_it_gives_as_many_verdicts_as_asked(self) -> None:
        for n in (1, 2, 5):
            verdicts = self.verdicts(self.candidates, n)
            assert len(verdicts) == n
            assert all(isinstance(verdict, Verdict) for verdict in verdicts)

    def test_it_prefers_somebody_shown_or_abstains(self) -> None:
        for shown in (self.candidates, self.candidates[::-1], self.candidates[:2], self.candidates[:1]):
            keys = [candidate.rollout.key for candidate in shown]
            for verdict in self.verdicts(shown, 2):
                assert verdict.preferred in [*keys, None]
                assert len(verdict.scores) in (0, len(keys)), "scores are given for all who are shown"

    def test_it_does_not_go_by_the_identity_of_objects(self) -> None:
        again = [v.preferred for v in self.verdicts(deepcopy(self.candidates), 2)]
        assert [v.preferred for v in self.verdicts(self.candidates, 2)] == again

    def test_it_changes_nothing_that_it_is_shown(self) -> None:
        shown = list(deepcopy(self.candidates))
        before = deepcopy((self.task, shown))
        self.verdicts(shown, 2)
        assert (self.task, shown) == before
