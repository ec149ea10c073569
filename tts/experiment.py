"""Tasks times strategies makes a run: choose on every task, then, and only then, grade."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from functools import partial
from pathlib import Path

import anyio

import tts
from tts.agents.function import AgentFunction, as_agent
from tts.course import Course, entrant
from tts.errors import UsageError
from tts.events import Events, Listener, Noticed
from tts.executors.local import Here, local
from tts.ledger import SLOTS, STOPPED, Ledger
from tts.models.connections import connected
from tts.pipeline import Pipeline, needs, suites
from tts.protocols import (
    Agent,
    Executors,
    Grader,
    Judge,
    Performer,
    Stage,
    Summarizer,
    Tester,
    Workspaces,
    templates_of,
)
from tts.registry import Strategy, estimator, resolve
from tts.run import Config, Run, extend_config, read_config
from tts.scope import Cast, Role, role
from tts.store import Store
from tts.suites import WAYS
from tts.types import Budget, Task

NO_TASK = Task("", "")
"""Stands for any task where only the dimensions of a bound count."""

FLAGS = {"usd": "--rollout-usd", "tokens": "--rollout-tokens", "seconds": "--rollout-seconds"}
"""The flags that give an agent's bound on a dimension."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Several strategies on several tasks, sharing what they have in common.

    `strategies` are texts, pipelines or stages; names such as `pass@8` among them are estimators over the
    graded rollouts. `budget` limits the whole run, `task_budget` each strategy on each task. `grade` says
    which rollouts are graded after all strategies have chosen on a task: the winners, all, or none.
    `workers` rollouts run at once, on at most `window` tasks. `where` says on which machines effects are
    carried out: here, or on a cluster.
    """

    tasks: Sequence[Task]
    strategies: Sequence[str | Stage]
    agent: Agent | AgentFunction
    summarizer: Summarizer | None = None
    judge: Judge | None = None
    tester: Tester | None = None
    grader: Grader | None = None
    workspaces: Workspaces | None = None
    where: Executors = field(default_factory=Here)
    seed: int = 0
    budget: Budget = Budget()
    task_budget: Budget = Budget()
    workers: int = 4
    window: int = 8
    grade: str = "all"
    listeners: Sequence[Listener] = field(default_factory=list[Listener])

    def planned(self) -> tuple[list[Strategy], list[str]]:
        """Return the strategies and the names of the estimators.

        Raises:
            UsageError: one cannot be read, a name comes twice, or a role that a stage needs is not played.
        """
        estimators = [s for s in self.strategies if isinstance(s, str) and estimator(s) is not None]
        texts = [s for s in estimators if not _is_strategy(s)]
        strategies = [strategy_of(s) for s in self.strategies if s not in texts]
        names = [s.name for s in strategies]
        if len(set(names)) < len(names):
            raise UsageError(f"a strategy is named twice: {', '.join(names)}; name each once")
        for strategy in strategies:
            check_roles(self.cast, strategy)
        return strategies, texts

    @property
    def cast(self) -> Cast:
        """Who plays which role."""
        return Cast(*map(role, (as_agent(self.agent), self.summarizer, self.judge, self.tester)))

    def check(self) -> None:
        """Find what is wrong before anything is paid.

        Raises:
            UsageError: no tasks, an id that comes twice, a strategy that cannot run, or a limit that an
                unknown bound could overshoot.
        """
        ids = [task.id for task in self.tasks]
        if not ids:
            raise UsageError("there are no tasks to run")
        if len(set(ids)) < len(ids):
            raise UsageError(
                f"the task {next(i for i in ids if ids.count(i) > 1)!r} comes twice; ids must differ"
            )
        if self.grade not in ("winners", "all", "none"):
            raise UsageError(f"grade is 'winners', 'all' or 'none', not {self.grade!r}")
        if self.workers < 1 or self.window < 1:
            raise UsageError(f"workers and window are 1 or more, not {self.workers} and {self.window}")
        _, estimators = self.planned()
        if estimators and (self.grader is None or self.grade != "all"):
            raise UsageError(f"{estimators[0]} needs the grade of every rollout: a grader, and grade 'all'")
        check_bounds(self.cast, (self.budget, self.task_budget))

    async def run(self, folder: str | Path) -> Run:
        """Run what is missing in `folder` and return the run, opened for reading.

        Raises:
            UsageError: as `check`; also where the folder's run cannot be opened.
        """
        self.check()
        store = Store.open(Path(folder))
        try:
            await self.run_in(store)
        finally:
            store.close()
        return Run.open(folder)

    async def run_in(self, store: Store, *, interrupt: anyio.Event | None = None) -> None:
        """Run what is missing in an open store. The event `interrupt` stops it gently.

        Raises:
            UsageError: a provider will not serve, such as for a bad key; what had ended is kept.
        """
        strategies, estimators = self.planned()
        events = Events(*self.listeners)
        await self._save_config(store, strategies, estimators, events)
        players = partial(
            local,
            as_agent(self.agent),
            summarizer=self.summarizer,
            judge=self.judge,
            tester=self.tester,
            grader=self.grader,
            workspaces=self.workspaces,
        )
        slots = {**SLOTS, **dict.fromkeys(("rollout", "grade", "execute"), self.workers)}
        async with (
            connected(),
            self.where.open(players) as executor,
            Ledger(store, executor, limit=self.budget, slots=slots, events=events) as ledger,
            anyio.create_task_group() as group,
        ):
            if interrupt is not None:
                group.start_soon(_interrupted, interrupt, ledger)
            await self._course(ledger, strategies).run(self.tasks, self.window)
            group.cancel_scope.cancel()
        if ledger.unusable is not None:
            raise UsageError(str(ledger.unusable))

    def _course(self, ledger: Ledger, strategies: Sequence[Strategy]) -> Course:
        cast, budget = self.cast, self.task_budget
        return Course(
            ledger=ledger,
            entrants=[entrant(s, cast, budget, in_words=s.name in self.strategies) for s in strategies],
            cast=cast,
            seed=self.seed,
            budget=budget,
            grader=self.grader,
            grade=self.grade,
        )

    async def _save_config(
        self, store: Store, strategies: Sequence[Strategy], estimators: Sequence[str], events: Events
    ) -> None:
        performers = self._performers()
        if "grader" not in performers and (earlier := read_config(store).performers.get("grader")):
            performers["grader"] = earlier  # what it graded still counts
        names = tuple(strategy.name for strategy in strategies)
        templates = {
            role: dict(found) for role, one in self._people().items() if (found := templates_of(one))
        }
        asked = Config(names, tuple(estimators), self.seed, performers, tts.__version__, templates)
        before = await extend_config(store, asked)
        for name, fingerprint in performers.items():
            if before.performers.get(name, fingerprint) != fingerprint:
                told = f"the {name} has changed: what the earlier one did stays, and is not used here"
                events.emit(Noticed(told))

    def _performers(self) -> dict[str, str]:
        people = self._people().items()
        return {name: person.fingerprint for name, person in people if person is not None}

    def _people(self) -> dict[str, Performer | None]:
        return {
            "agent": as_agent(self.agent),
            "summarizer": self.summarizer,
            "judge": self.judge,
            "tester": self.tester,
            "grader": self.grader if self.grade != "none" else None,
        }


def strategy_of(given: str | Stage) -> Strategy:
    """Return the strategy of a text, a pipeline or a single stage."""
    if isinstance(given, str):
        return resolve(given)
    pipeline = given if isinstance(given, Pipeline) else Pipeline(given)
    return Strategy(pipeline.name, pipeline)


def check_roles(cast: Cast, strategy: Strategy) -> None:
    """Check that somebody plays each role that a strategy asks, and that its tests can be had.

    Raises:
        UsageError: nobody plays one, or the tester has no tests of a kind that is asked for.
    """
    for name in sorted(needs(strategy.run)):
        if getattr(cast, name, None) is None:
            raise UsageError(f"the strategy {strategy.name!r} needs a {name}, and none was given")
    known = cast.tester.kinds if cast.tester is not None else None
    for kind in sorted(suites(strategy.run) - known) if known is not None else ():
        way = WAYS.get(kind, "another tester")
        raise UsageError(f"the strategy {strategy.name!r} needs {way} (tests of the kind {kind!r})")


def check_bounds(cast: Cast, limits: Iterable[Budget]) -> None:
    """Check that nothing with an unknown bound could overshoot a limit.

    Raises:
        UsageError: a role's bound is unknown on a limited dimension; says which flag gives it.
    """
    roles: Mapping[str, Role | None] = {
        name: getattr(cast, name) for name in ("agent", "summarizer", "judge", "tester")
    }
    for limit in limits:
        for dimension, value in zip((f.name for f in fields(limit)), astuple(limit), strict=True):
            for name, player in roles.items():
                unknown = player is not None and getattr(player.bound_on(NO_TASK), dimension) is None
                if player is not None and value is not None and dimension in FLAGS and unknown:
                    raise UsageError(
                        f"a limit on {dimension} needs the most that one call of the {name} can cost, "
                        f"which is unknown: {_way(name, player, dimension)}"
                    )


def _way(name: str, player: Role, dimension: str) -> str:
    """Return how a bound that is unknown can be given."""
    ways = [f"give {FLAGS[dimension]}"] * (name == "agent")
    if dimension == "usd" and player.bound_on(NO_TASK).tokens is not None and player.reckoning is not None:
        ways.append("give its model a `price`")
    return " or ".join([*ways, "give it a `bound`"])


def _is_strategy(text: str) -> bool:
    try:
        resolve(text)
    except UsageError:
        return False
    return True


async def _interrupted(interrupt: anyio.Event, ledger: Ledger) -> None:
    await interrupt.wait()
    ledger.stop(STOPPED)
