"""The Python face: solve a task with any agent, or select among attempts that exist already."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import anyio

import tts
from tts.agents.function import AgentFunction
from tts.course import choose
from tts.errors import UsageError
from tts.events import Events, Listener
from tts.executors.local import Here, local
from tts.experiment import check_bounds, check_roles, strategy_of
from tts.given import store_given
from tts.ledger import SLOTS, Ledger
from tts.lineage import Graph, lineage, mermaid
from tts.models.connections import connected
from tts.pipeline import needs
from tts.protocols import Agent, Executor, Executors, Judge, Stage, Summarizer, Tester, Workspaces
from tts.records import decode, encode
from tts.registry import Strategy, plugins
from tts.roles import agent_of, judge_of, summarizer_of
from tts.run import Choice, Config, extend_config
from tts.scope import Cast, StrategyRun, role
from tts.store import Store
from tts.types import Budget, Pool, Rollout, Step, Task, Usage

HERE = Here()
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """What a strategy chose on a task, and how.

    `rollouts` are all that it used, by key; `steps` is the winner's trajectory. `usage` is what the
    strategy would have cost alone.
    """

    task: Task
    choice: Choice
    rollouts: Mapping[str, Rollout] = field(default_factory=dict[str, Rollout])
    steps: tuple[Step, ...] = ()

    @property
    def winner(self) -> Rollout:
        """The chosen rollout.

        Raises:
            UsageError: there is none, because no attempt ended with a result; the message says why.
        """
        if self.choice.winner not in self.rollouts:
            why = self.choice.error or "; ".join(self.choice.refusals) or "no attempt ended with a result"
            raise UsageError(f"nothing was chosen on {self.task.id}: {why}")
        return self.rollouts[self.choice.winner]

    @property
    def pool(self) -> list[Rollout]:
        """The last pool of the strategy, best first."""
        return [self.rollouts[key] for key in self.choice.pool if key in self.rollouts]

    @property
    def usage(self) -> Usage:
        """Calls, tokens and dollars."""
        return self.choice.spending.usage

    @property
    def incomplete(self) -> bool:
        """Whether a limit, a stop or the machine cut the strategy short; `choice.refusals` says which."""
        return self.choice.incomplete

    @property
    def lineage(self) -> Graph:
        """How the winner came to be: a networkx graph of rollouts and matches."""
        return lineage(self.choice, self.rollouts)

    def draw(self) -> str:
        """Return the lineage as a Mermaid flow chart."""
        return mermaid(self.lineage)

    def save(self, path: str | Path) -> None:
        """Write the result as JSON."""
        Path(path).write_bytes(encode(self))

    @classmethod
    def load(cls, path: str | Path) -> Result:
        """Return a result that `save` wrote."""
        return decode(Path(path).read_bytes(), cls)

    def __str__(self) -> str:
        spending = self.choice.spending
        if self.choice.winner not in self.rollouts:
            return f"{self.choice.strategy} on {self.task.id}: no winner"
        return (
            f"{self.choice.strategy} on {self.task.id}: attempt {self.winner.index} of iteration "
            f"{self.winner.iteration} wins ({spending.rollouts} rollouts, {spending.verdicts} votes)"
        )

    def _repr_markdown_(self) -> str:
        return f"**{self}**\n\n```mermaid\n{self.draw()}\n```"


async def solve(
    task: str | Task,
    *,
    agent: str | Agent | AgentFunction,
    strategy: str | Stage = "rtv@8",
    judge: str | Judge = "evidence",
    summarizer: str | Summarizer = "extractive",
    tester: Tester | None = None,
    budget: Budget = Budget(),
    workspaces: Workspaces | None = None,
    where: Executors = HERE,
    seed: int = 0,
    workers: int = 4,
    store: str | Path | None = None,
    listeners: Sequence[Listener] = (),
) -> Result:
    """Return what the strategy makes of many attempts of the agent at the task.

    `agent` is an Agent, a function of (task) or (task, attempt) that returns text or a Rollout, or a name.
    `judge` and `summarizer` are names or objects. A name is registered, `module:attribute`, or a model's,
    such as `anthropic/claude-sonnet-4-5`. `tester` gets and runs tests, for strategies that select by them.
    `store` is a folder: with it, whatever is paid for is kept, and
    the same call resumes. `workers` attempts run at once, `where` says on which machines.

    Raises:
        UsageError: the strategy cannot be read, or a limit could be overshot; before anything is paid.
    """
    people = agent_of(agent), summarizer_of(summarizer), judge_of(judge), tester
    cast = Cast(*(role(person) for person in people))
    check_bounds(cast, [budget])
    chosen = strategy_of(strategy)
    check_roles(cast, chosen)
    playing, summing, judging, _ = people
    players = partial(local, playing, summarizer=summing, judge=judging, tester=tester, workspaces=workspaces)
    slots = {**SLOTS, "rollout": workers, "execute": workers}
    async with _opened(store, where.open(players), budget, slots, listeners) as ledger:
        work = StrategyRun(_task(task), ledger, cast, seed, budget)
        return await _result(work, chosen, Pool())


def _blocking(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Return the function as one that blocks, also inside a running event loop (in a thread of its own)."""

    @wraps(function)
    def block(*args: P.args, **kwargs: P.kwargs) -> T:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(anyio.run, partial(function, *args, **kwargs)).result()

    block.__name__ = block.__qualname__ = f"{function.__name__}_sync"
    return block


solve_sync = _blocking(solve)
"""`solve` for scripts, and for notebooks, where a loop runs already."""


async def select(
    task: str | Task,
    rollouts: Sequence[Rollout | str],
    *,
    strategy: str | Stage = "rtv",
    judge: str | Judge = "evidence",
    summarizer: str | Summarizer = "extractive",
    tester: Tester | None = None,
    trajectories: Sequence[Sequence[Step]] = (),
    budget: Budget = Budget(),
    seed: int = 0,
    store: str | Path | None = None,
) -> Result:
    """Return what a selector chooses among attempts that exist already.

    `rollouts` are Rollouts or plain texts; `trajectories` their steps, in the same order, or empty.
    `strategy` selects only: `rtv`, `vote`, `rtv(votes=4)`, or stages in a row. `tester` gets and runs tests,
    for strategies that select by them.

    Raises:
        UsageError: the strategy would make new attempts, or cannot be read.
    """
    if trajectories and len(trajectories) != len(rollouts):
        raise UsageError(f"{len(rollouts)} rollouts and {len(trajectories)} trajectories: give one for each")
    people = summarizer_of(summarizer), judge_of(judge)
    cast = Cast(None, role(people[0]), role(people[1]), role(tester))
    check_bounds(cast, [budget])
    chosen = _selector(strategy)
    check_roles(cast, chosen)
    players = partial(local, None, summarizer=people[0], judge=people[1], tester=tester)
    async with _opened(store, HERE.open(players), budget, SLOTS, ()) as ledger:
        work = StrategyRun(_task(task), ledger, cast, seed, budget)
        given = [Rollout(answer=r) if isinstance(r, str) else r for r in rollouts]
        pool = Pool(tuple(await store_given(given, work, trajectories)))
        return await _result(work, chosen, pool)


def _selector(strategy: str | Stage) -> Strategy:
    if isinstance(strategy, str) and strategy.strip() in plugins("tts.stages"):
        strategy = f"{strategy.strip()}()"
    chosen = strategy_of(strategy)
    if "agent" in needs(chosen.run):
        raise UsageError(
            f"{chosen.name!r} would make new attempts; name a selector such as 'rtv' or 'rtv(votes=4)'"
        )
    return chosen


async def _result(work: StrategyRun, strategy: Strategy, pool: Pool) -> Result:
    choice = await choose(work, strategy, pool)
    store = work.ledger.store
    await store.save_task(work.task)
    await store.save_outcome(work.task.id, strategy.name, choice)
    await extend_config(
        store, Config((strategy.name,), (), work.seed, work.cast.fingerprints, tts.__version__)
    )
    found = {key: store.find(key) for key in work.uses}
    rollouts = {k: r.read(Rollout) for k, r in found.items() if r is not None and r.kind == "rollout"}
    steps = store.steps(choice.winner) if choice.winner else ()
    return Result(work.task, choice, rollouts, steps)


def _task(given: str | Task) -> Task:
    return Task("task", given) if isinstance(given, str) else given


@asynccontextmanager
async def _opened(
    folder: str | Path | None,
    opening: AbstractAsyncContextManager[Executor],
    budget: Budget,
    slots: Mapping[str, int],
    listeners: Sequence[Listener],
) -> AsyncGenerator[Ledger]:
    with tempfile.TemporaryDirectory() as scratch:
        store = Store.open(Path(folder or scratch))
        try:
            async with (
                connected(),
                opening as executor,
                Ledger(store, executor, limit=budget, slots=slots, events=Events(*listeners)) as ledger,
            ):
                yield ledger
            if ledger.unusable is not None:
                raise UsageError(str(ledger.unusable))
        finally:
            store.close()
