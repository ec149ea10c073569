"""Scripted performers, and runs of a stage over them."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio

from tts.events import Events, Listener
from tts.executors.local import local
from tts.given import store_given
from tts.ledger import Ledger
from tts.protocols import Agent, Attempt, Author, Judge, Stage, Summarizer, Tester
from tts.scope import Cast, StrategyRun, role
from tts.store import Store
from tts.suites import Execution, Suite, SuiteKind, TestCase, TestOutcome
from tts.types import FREE, Budget, Candidate, Pool, Rollout, Step, Summary, Task, Verdict

TASK = Task("task-1", "Say how many attempts it takes.")
"""A task for tests."""

Script = Callable[[Task, Attempt], Awaitable[Rollout]]


async def numbered(task: Task, attempt: Attempt) -> Rollout:
    """Return the attempt's index as its answer, after one step."""
    attempt.record(Step(action="count", observation=str(attempt.index)))
    return Rollout(answer=f"{task.id}: {attempt.index}", length=float(attempt.index))


@dataclass(frozen=True, slots=True)
class ScriptedAgent:
    """An agent that does what a script says. `script(task, attempt)` is an async function."""

    script: Script = numbered
    fingerprint: str = "scripted"
    bound: Budget = Budget()

    async def run(self, task: Task, attempt: Attempt) -> Rollout:
        """Return what the script returns."""
        return await self.script(task, attempt)


@dataclass(frozen=True, slots=True)
class ScriptedSummarizer:
    """A summarizer that claims the rollout's output and nothing else."""

    fingerprint: str = "scripted"
    bound: Budget = FREE

    async def summarize(self, task: Task, rollout: Rollout, steps: Sequence[Step]) -> Summary:
        """Return a summary whose only content is the output, as a claim."""
        return Summary(claims=(rollout.output or "",))


@dataclass(frozen=True, slots=True)
class ScriptedJudge:
    """A judge that prefers the candidate with the largest `value`; None among the values: it abstains."""

    value: Callable[[Candidate], Any] = lambda candidate: candidate.rollout.output or ""
    fingerprint: str = "scripted"
    bound: Budget = FREE
    asked: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])

    async def compare(self, task: Task, shown: Sequence[Candidate], *, n: int = 1) -> list[Verdict]:
        """Return n equal verdicts."""
        self.asked.append(tuple(candidate.rollout.key for candidate in shown))
        values = [self.value(candidate) for candidate in shown]
        best = None if None in values else shown[values.index(max(values))].rollout.key
        return [Verdict(preferred=best) for _ in range(n)]


@dataclass(frozen=True, slots=True)
class FailingJudge:
    """A judge that raises an error each time it is asked."""

    error: Exception = field(default_factory=lambda: RuntimeError("this judge always fails"))
    fingerprint: str = "failing"
    bound: Budget = FREE

    async def compare(self, task: Task, shown: Sequence[Candidate], *, n: int = 1) -> list[Verdict]:
        """Raise the error."""
        raise self.error


@dataclass(frozen=True, slots=True)
class ScriptedTester:
    """A tester of three written tests; a rollout passes the test i where `passes(rollout, i)` says so.

    A suite of a candidate's own holds one test, which by default is passed by those of its author's output.
    """

    passes: Callable[[Rollout, int], bool] = lambda rollout, i: i < len((rollout.output or "").strip())
    fingerprint: str = "scripted"
    bound: Budget = FREE

    async def write(
        self, task: Task, kind: SuiteKind, authors: Sequence[Author], *, n: int = 1, start: int = 0
    ) -> list[Suite]:
        """Return n suites; the tests of the j-th have the numbers from 3 j on."""
        made = [[TestCase(f"test {3 * j + i}") for i in range(3)] for j in range(start, start + n)]
        if kind == "own":
            made = [[TestCase(f"own {authors[0][0].output}")]] * n
        return [Suite(cases=tuple(cases)) for cases in made]

    async def execute(self, task: Task, suite: Suite, rollout: Rollout | None) -> Execution:
        """Return the outcomes; before any change the repository's tests pass and all others fail."""
        numbers = [int(word) if (word := c.code.split()[-1]).isdigit() else -1 for c in suite.cases] or [0]
        if rollout is None:
            passed = [suite.kind == "regression"] * len(numbers)
        else:
            passed = [self._passes(rollout, suite.cases[i : i + 1], n) for i, n in enumerate(numbers)]
        told = [TestOutcome(str(i), "passed" if ok else "failed", str(ok)) for i, ok in enumerate(passed)]
        return Execution(outcomes=tuple(told))

    def _passes(self, rollout: Rollout, cases: Sequence[TestCase], number: int) -> bool:
        own = cases[0].code.partition("own ")[2] if cases else ""
        return own == str(rollout.output) if own else self.passes(rollout, number)


@asynccontextmanager
async def opened(
    *,
    agent: Agent | None = None,
    summarizer: Summarizer | None = None,
    judge: Judge | None = None,
    tester: Tester | None = None,
    budget: Budget = Budget(),
    folder: Path | None = None,
    listeners: Sequence[Listener] = (),
) -> AsyncGenerator[Ledger]:
    """Open a ledger over scripted performers, in a folder of its own unless one is given."""
    with tempfile.TemporaryDirectory() as scratch:
        store = Store.open(folder or Path(scratch))
        executor = local(
            agent or ScriptedAgent(),
            summarizer=summarizer or ScriptedSummarizer(),
            judge=judge or ScriptedJudge(),
            tester=tester or ScriptedTester(),
        )
        try:
            async with Ledger(store, executor, limit=budget, events=Events(*listeners)) as ledger:
                yield ledger
        finally:
            store.close()


def strategy_run(
    ledger: Ledger,
    *,
    task: Task = TASK,
    agent: Agent | None = None,
    summarizer: Summarizer | None = None,
    judge: Judge | None = None,
    tester: Tester | None = None,
    seed: int = 0,
    budget: Budget = Budget(),
) -> StrategyRun:
    """Return one strategy's run on a task; its `scope()` is what a stage is handed."""
    cast = Cast(
        role(agent or ScriptedAgent()),
        role(summarizer or ScriptedSummarizer()),
        role(judge or ScriptedJudge()),
        role(tester or ScriptedTester()),
    )
    return StrategyRun(task, ledger, cast, seed, budget)


def run_stage(
    stage: Stage,
    pool: Pool = Pool(),
    *,
    agent: Agent | None = None,
    judge: Judge | None = None,
    tester: Tester | None = None,
    seed: int = 0,
) -> Pool:
    """Return what a stage makes of a pool with scripted performers; the pool's rollouts are stored first."""

    async def main() -> Pool:
        async with opened(agent=agent, judge=judge, tester=tester) as ledger:
            run = strategy_run(ledger, agent=agent, judge=judge, tester=tester, seed=seed)
            return await stage(await stored(pool, run), run.scope())

    return anyio.run(main)


async def stored(pool: Pool, run: StrategyRun) -> Pool:
    """Put rollouts that exist already into the run's store and return them with their keys."""
    return replace(pool, rollouts=tuple(await store_given(pool.rollouts, run)))
