"""What selection by tests stands on: tests for a task, run on every rollout, as a table of passes.

Equal outputs are run once.  In a repository, tests that are new must fail before any change, or they show
nothing of the task; those that the repository has count where they passed before.  Equal tests are one test
with a weight.  A suite that could not be run on every rollout counts for none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from tts.errors import Infra, Refused, UsageError
from tts.pipeline import gather
from tts.protocols import Scope
from tts.suites import Execution, Suite, SuiteKind, TestCase
from tts.types import Effect, Rollout

T = TypeVar("T")
Source = Literal["written", "own", "given"]
"""Whose tests: written for the task, each candidate's own, or the user's."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Which rollout passes which test.

    `passes[key]` has a place for each test, for every rollout with an output, and `outputs[key]` what was
    printed there. `weights` are how often each test was written, `authors` the keys of the rollouts that it
    was made from. `whole` is false where something was refused or the machine failed.
    """

    weights: tuple[float, ...] = ()
    authors: tuple[tuple[str, ...], ...] = ()
    passes: Mapping[str, tuple[bool, ...]] = field(default_factory=dict[str, tuple[bool, ...]])
    outputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    whole: bool = True

    def passed(self, key: str) -> float:
        """Return how many tests a rollout passes, each with its weight."""
        return sum(w for w, ok in zip(self.weights, self.passes.get(key, ()), strict=False) if ok)


def check_source(stage: str, tests: str, n: int) -> None:
    """Check the parameters of a stage that takes tests.

    Raises:
        UsageError: `tests` names no source, or n is below 1.
    """
    if tests not in ("written", "own", "given") or n < 1:
        raise UsageError(
            f"{stage}'s tests are 'written', 'own' or 'given', and n is 1 or more, not {tests!r} and {n}"
        )


async def matrix(scope: Scope, rollouts: Sequence[Rollout], kind: SuiteKind, *, n: int = 1) -> Matrix:
    """Return the table of n suites of a kind (`own`: one of each rollout) on the rollouts with an output."""
    tried = sorted((r for r in rollouts if (r.output or "").strip()), key=lambda rollout: rollout.key)
    asked = [(r.key,) for r in tried] if kind == "own" else [()]
    effects = [
        scope.effect("generate", Suite, by="tester", inputs=keys, params={"kind": kind}, occurrence=i)
        for keys in asked
        for i in range(1 if kind in ("own", "given", "regression") else n)
    ]
    suites = await _all(scope, effects)
    return await tabled(scope, tried, suites)


async def tabled(scope: Scope, rollouts: Sequence[Rollout], suites: Sequence[Suite | None]) -> Matrix:
    """Return the table of suites that are there; None among them was refused."""
    first: dict[str, Rollout] = {}
    for rollout in rollouts:
        first.setdefault(rollout.output or "", rollout)
    there = [suite for suite in suites if suite is not None]
    columns = await gather(*(_column(scope, suite, list(first.values())) for suite in there))
    sheet = _Sheet()
    for suite, column in zip(there, columns, strict=True):
        for test in column or ():
            sheet.add(suite, test)
    return sheet.matrix(
        {rollout.key: first[rollout.output or ""].key for rollout in rollouts},
        whole=len(there) == len(suites) and None not in columns,
    )


def execution(scope: Scope, suite: Suite, *on: Rollout) -> Effect[Execution]:
    """Return the effect of running a suite on a rollout, or, with none, before any change."""
    keys = (suite.key, *(rollout.key for rollout in on))
    kind, read = {"kind": suite.kind}, (suite, *on)
    return scope.effect("execute", Execution, by="tester", inputs=keys, read=read, params=kind)


@dataclass(frozen=True, slots=True)
class _Test:
    """One test on all rollouts: what it is known by, and how it ended on each, by key."""

    case: TestCase
    passes: Mapping[str, bool]
    outputs: Mapping[str, str]


async def _column(scope: Scope, suite: Suite, rollouts: Sequence[Rollout]) -> list[_Test] | None:
    """Return the tests of a suite that count, None where it could not be run on all."""
    names = await _counted(scope, suite)
    if not names:
        return None if names is None else []
    ran = await _all(scope, [execution(scope, suite, rollout) for rollout in rollouts])
    done = {one.rollout: {out.name: out for out in one.outcomes} for one in ran if one is not None}
    if len(done) < len(ran):
        return None
    return [
        _Test(
            suite.cases[int(name)] if suite.cases else TestCase(name),
            {key: name in named and named[name].status == "passed" for key, named in done.items()},
            {key: named[name].output if name in named else "" for key, named in done.items()},
        )
        for name in names
    ]


async def _counted(scope: Scope, suite: Suite) -> list[str] | None:
    """Return the names of the tests that tell something, None where that could not be found out."""
    every = [str(i) for i in range(len(suite.cases))]
    if suite.kind == "inputs" or not (scope.task.repo or suite.kind == "regression"):
        return every
    if suite.status != "finished" or not (every or suite.kind == "regression"):
        return []
    before = await got(scope, execution(scope, suite))
    if before is None:
        return None
    wanted = "passed" if suite.kind == "regression" else "failed"
    return [name for name, status in before.statuses.items() if status == wanted]


async def _all(scope: Scope, effects: Sequence[Effect[T]]) -> list[T | None]:
    """Return the effects' results, done at the same time."""

    async def had(effect: Effect[T]) -> T | None:
        return await got(scope, effect)

    return await gather(*(had(effect) for effect in effects))


async def got(scope: Scope, effect: Effect[T]) -> T | None:
    """Return the effect's result, None where it is refused or the machine fails."""
    try:
        return await scope.do(effect)
    except (Refused, Infra):
        return None


@dataclass(slots=True)
class _Sheet:
    """Tests by what they are, each once."""

    tests: dict[tuple[str, str, str], _Test] = field(default_factory=dict[tuple[str, str, str], _Test])
    weights: dict[tuple[str, str, str], float] = field(default_factory=dict[tuple[str, str, str], float])
    authors: dict[tuple[str, str, str], tuple[str, ...]] = field(
        default_factory=dict[tuple[str, str, str], tuple[str, ...]]
    )

    def add(self, suite: Suite, test: _Test) -> None:
        """Add a test; one that is there already weighs more."""
        case = test.case
        name = case.code, case.path, case.command
        self.tests.setdefault(name, test)
        self.weights[name] = self.weights.get(name, 0.0) + case.count
        self.authors[name] = self.authors.get(name, ()) + suite.authors

    def matrix(self, ran_as: Mapping[str, str], *, whole: bool) -> Matrix:
        """Return the table, given the key that each rollout's output was run under."""
        return Matrix(
            tuple(self.weights.values()),
            tuple(self.authors.values()),
            {key: tuple(t.passes[run] for t in self.tests.values()) for key, run in ran_as.items()},
            {key: tuple(t.outputs[run] for t in self.tests.values()) for key, run in ran_as.items()},
            whole,
        )
