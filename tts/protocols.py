"""Everything that can be plugged in, as protocols with one verb each.

A performer (agent, summarizer, judge, grader) has a `fingerprint`, its identity in every key: model,
prompts, limits, version.  It may have a `bound`, the most that one call can cost; without one the cost
is unknown, and a budget on that dimension is refused before the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import Random
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from tts.suites import Execution, Suite, SuiteKind
from tts.types import (
    Budget,
    Candidate,
    Effect,
    Grade,
    Pool,
    Rollout,
    Status,
    Step,
    Summary,
    Tally,
    Task,
    Usage,
    Verdict,
)

T = TypeVar("T")


class Attempt(Protocol):
    """What an agent is lent for one rollout.

    `index` counts the attempts from 0, `seed` is its own number for randomness, `priors` are summaries
    of earlier attempts (empty in the first iteration), `workspace` its own directory or None, `limits`
    what it may use.
    """

    @property
    def index(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def priors(self) -> Sequence[Summary]: ...
    @property
    def workspace(self) -> Path | None: ...
    @property
    def limits(self) -> Budget: ...

    def record(self, step: Step) -> None:
        """Add a step to the trajectory, and its usage to the bill.

        Raises:
            LimitReached: the attempt has passed one of its limits.
        """
        ...

    def spend(self, usage: Usage) -> None:
        """Add usage that belongs to no step.

        Raises:
            LimitReached: the attempt has passed one of its limits.
        """
        ...

    def progress(
        self, length: float | None, *, thought: bool = False, signals: Mapping[str, float] | None = None
    ) -> None:
        """Report the length so far (thinking tokens, or steps); `thought` once the thinking is over.

        None is for an attempt that cannot tell its length before its end. `signals` are numbers such as the
        rollout will have in its end, as they stand now; None leaves those told before.
        """
        ...


@runtime_checkable
class Agent(Protocol):
    """Attempts a task. Its exceptions become a failed rollout; `Infra` becomes an infrastructure failure."""

    @property
    def fingerprint(self) -> str: ...

    async def run(self, task: Task, attempt: Attempt) -> Rollout:
        """Return the rollout; steps go through `attempt.record`."""
        ...


@runtime_checkable
class Summarizer(Protocol):
    """Compresses one trajectory."""

    @property
    def fingerprint(self) -> str: ...

    async def summarize(self, task: Task, rollout: Rollout, steps: Sequence[Step]) -> Summary:
        """Return the summary of the rollout whose trajectory is `steps`."""
        ...


@runtime_checkable
class Distiller(Protocol):
    """A summarizer that can also make one workspace of several drafts; else their summaries are merged."""

    async def distil(self, task: Task, drafts: Sequence[Candidate]) -> Summary:
        """Return what the drafts come to, bounded in size, as a summary."""
        ...


@runtime_checkable
class Judge(Protocol):
    """Says which of some candidates is best. Where it cannot say, it abstains."""

    @property
    def fingerprint(self) -> str: ...

    async def compare(self, task: Task, shown: Sequence[Candidate], *, n: int = 1) -> list[Verdict]:
        """Return `n` independent verdicts on the candidates in the order shown."""
        ...


Author: TypeAlias = tuple[Rollout, Sequence[Step]]
"""A rollout that tests are made from, and its trajectory."""


@runtime_checkable
class Tester(Protocol):
    """Gets tests for a task and runs them. It knows nothing of the tests that a grader holds."""

    @property
    def fingerprint(self) -> str: ...

    async def write(
        self, task: Task, kind: SuiteKind, authors: Sequence[Author], *, n: int = 1, start: int = 0
    ) -> list[Suite]:
        """Return `n` independent suites of a kind, made from the authors where there are any.

        They are those with the numbers from `start` on, for whoever draws by number.
        """
        ...

    async def execute(self, task: Task, suite: Suite, rollout: Rollout | None) -> Execution:
        """Return what the suite comes to on a rollout's output, or (None) before any change.

        Raises:
            Infra: the machine failed, not the tests.
        """
        ...


@runtime_checkable
class Grader(Protocol):
    """Holds the truth, and is asked only after every strategy has chosen."""

    @property
    def fingerprint(self) -> str: ...

    async def grade(self, task: Task, rollout: Rollout) -> Grade:
        """Return the grade of one rollout."""
        ...


class Stage(Protocol):
    """Turns a pool into another pool. A stage keeps no state between calls."""

    async def __call__(self, pool: Pool, scope: Scope) -> Pool: ...


class Lane(Protocol):
    """One rollout of a race as it goes.

    `length` is what it has reached, None when the agent reports none; `thought` when its thinking is
    over; `signals` what it has told of itself so far, in the end those of the rollout; `rollout` its result
    once it has ended well or badly, None while it runs and when it was stopped.
    """

    @property
    def index(self) -> int: ...
    @property
    def length(self) -> float | None: ...
    @property
    def thought(self) -> bool: ...
    @property
    def signals(self) -> Mapping[str, float]: ...
    @property
    def rollout(self) -> Rollout | None: ...

    def stop(self, *, at: float | None = None) -> None:
        """Stop waiting for this rollout; it is cancelled unless somebody else waits for it.

        It counts as cut at the length `at` (None: where it is), also when it has ended longer than that.
        """
        ...


class Lanes(Protocol):
    """Several rollouts as they go."""

    def __iter__(self) -> Iterator[Lane]: ...

    async def changed(self) -> bool:
        """Wait for news of any lane; False when every lane has ended or been stopped."""
        ...


class Scope(Protocol):
    """All that a stage may do. Whatever costs time or money goes through `do`; the rest is sugar over it."""

    @property
    def task(self) -> Task: ...
    @property
    def remaining(self) -> Budget:
        """What this stage may still spend, counted as if its strategy ran alone."""
        ...

    @property
    def usage(self) -> Usage:
        """What the strategy has used so far, counted as if it ran alone."""
        ...

    @property
    def path_tokens(self) -> int:
        """The tokens on the longest path of that: of effects of which each waited for the one before."""
        ...

    def rng(self, *labels: str) -> Random:
        """Return a generator derived from run seed, task, the stage's pool and the labels."""
        ...

    def effect(
        self,
        kind: str,
        returns: type[T],
        *,
        by: str,
        inputs: Sequence[str] = (),
        read: Sequence[Any] = (),
        params: Mapping[str, Any] | None = None,
        occurrence: int = 0,
    ) -> Effect[T]:
        """Return an effect, to be handed to `do`, for `by`: "agent", "summarizer", "judge" or "tester".

        `inputs` are the keys of what it reads, and `read` the same as nouns, by which its bound is reckoned.

        Raises:
            UsageError: nobody plays that role.
        """
        ...

    async def do(self, effect: Effect[T]) -> T:
        """Return the effect's result: from the store, from whoever is doing it now, or by doing it.

        Raises:
            Refused: the budget is spent or the run is stopping.
            Infra: it ended without a result.
        """
        ...

    async def sample(self, n: int, *, start: int = 0, priors: Sequence[Summary] = ()) -> list[Rollout]:
        """Return the rollouts `start` to `start + n - 1`, fewer where the budget or the machine cut some."""
        ...

    def lanes(
        self, n: int, *, start: int = 0, priors: Sequence[Summary] = ()
    ) -> AbstractAsyncContextManager[Lanes]:
        """Return the same rollouts as they go; leaving the context stops what still runs and waits for it."""
        ...

    async def summarize(self, rollout: Rollout) -> Summary:
        """Return the rollout's summary, made once; one without content where it could not be made."""
        ...

    async def compare(
        self,
        groups: Sequence[Sequence[Rollout]],
        *,
        votes: int,
        ordered: bool = False,
        told: Mapping[str, Summary] | None = None,
    ) -> list[Tally]:
        """Return the first `votes` votes on each group, over its display orders; fewer where refused.

        With `ordered` every vote is on the group as it stands, so votes on one group share one prompt. `told`
        has, by rollout key, stored summaries that are shown in place of the rollouts' own.
        """
        ...

    def enter(self, pool: Pool, *, label: str, keep: float = 0.0, keep_rollouts: float = 0.0) -> Scope:
        """Return the next stage's scope; enter one at a time.

        It leaves to later stages the share `keep` of what remains of dollars, tokens and seconds, and
        `keep_rollouts` of the rollouts.
        """
        ...


class Workspace(Protocol):
    """One attempt's own directory."""

    @property
    def path(self) -> Path: ...

    async def diff(self) -> str:
        """Return the difference to the base commit as a git patch, whatever the agent did; may be empty.

        Raises:
            LimitReached: it is too large.
        """
        ...

    async def applies(self, patch: str) -> bool:
        """Return whether a patch applies to the base commit."""
        ...


class Workspaces(Protocol):
    """Makes a clean directory per attempt, and removes it."""

    def open(self, task: Task) -> AbstractAsyncContextManager[Workspace]: ...


class Work(Protocol):
    """What the ledger lends an executor while it performs effects: stored inputs, and ears for progress."""

    def load(self, key: str, returns: type[T]) -> T:
        """Return a stored result."""
        ...

    def steps(self, key: str) -> Sequence[Step]:
        """Return a stored trajectory."""
        ...

    def began(self) -> None:
        """Say that the effects begin only now: what came before was waiting for a machine."""
        ...

    def record(self, step: Step) -> None: ...
    def spend(self, usage: Usage) -> None: ...
    def progress(
        self, length: float | None, *, thought: bool = False, signals: Mapping[str, float] | None = None
    ) -> None: ...


class Executor(Protocol):
    """Carries out effects: in this process, or elsewhere."""

    async def perform(self, effects: Sequence[Effect[T]], work: Work) -> Sequence[T]:
        """Return one result per effect; the effects differ only in their occurrence.

        Raises:
            Infra: the machine failed, not the performer; `Moved`, where another machine may do better.
        """
        ...


class Executors(Protocol):
    """Where the effects of a run are carried out: in this process, or on other machines."""

    def open(self, players: Callable[[], Executor]) -> AbstractAsyncContextManager[Executor]:
        """Return the run's executor; `players` makes one that carries effects out in the process it is in."""
        ...


class Runner(Protocol):
    """Carries out one kind of effect; a new kind of effect is one file with its runner."""

    async def perform(self, effects: Sequence[Effect[Any]], work: Work) -> Sequence[Any]: ...


class Performer(Protocol):
    """The part of an agent, summarizer, judge or grader that keys and budgets need."""

    @property
    def fingerprint(self) -> str: ...


def bound_of(performer: object) -> Budget:
    """Return a performer's `bound`, or the empty bound (nothing known) where it has none."""
    bound = getattr(performer, "bound", None)
    return bound if isinstance(bound, Budget) else Budget()


def templates_of(performer: object) -> Mapping[str, str]:
    """Return the prompts of a performer by name, from its attribute `templates`; empty where it has none."""
    found: Mapping[str, str] = getattr(performer, "templates", {})
    return found


Reckoning: TypeAlias = Callable[[Task, Sequence[Any]], Budget]
"""The most that an effect on a task can cost, given what it reads: the priors (summaries) of a rollout, the
rollout of a summary, the candidates of a verdict or of a distillation."""


def reckoning_of(performer: object) -> Reckoning | None:
    """Return a performer's method `bound_for`, None where it has none and `bound` holds for every effect.

    Unlike `bound` it is no limit that the engine holds the performer to, and it is in no key.
    """
    reckoning: Reckoning | None = getattr(performer, "bound_for", None)
    return reckoning


class Outcome(Protocol):
    """What every effect's result has."""

    @property
    def status(self) -> Status: ...
    @property
    def usage(self) -> Usage: ...
