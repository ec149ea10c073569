"""The course of a run over its tasks: every strategy chooses on a task, and only then it is graded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import anyio

from tts.basis import basis, stands
from tts.events import Chosen, TaskEnded
from tts.grading import grade_choices
from tts.ledger import Ledger
from tts.protocols import Grader
from tts.registry import Strategy
from tts.run import Choice
from tts.scope import Cast, StrategyRun
from tts.types import Budget, Pool, Task


@dataclass(frozen=True, slots=True)
class Entrant:
    """A strategy, and what its choices rest on (see `tts.basis`), "" where they are always made anew."""

    strategy: Strategy
    basis: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """What the tasks of one run have in common. `grade` says which rollouts a `grader` grades."""

    ledger: Ledger
    entrants: Sequence[Entrant]
    cast: Cast
    seed: int
    budget: Budget
    grader: Grader | None
    grade: str

    async def run(self, tasks: Sequence[Task], window: int) -> None:
        """Run all tasks, at most `window` at once."""
        places = anyio.CapacityLimiter(window)

        async def one(task: Task) -> None:
            try:
                await self._task(task)
            finally:
                places.release_on_behalf_of(task.id)

        async with anyio.create_task_group() as group:
            for task in tasks:
                await places.acquire_on_behalf_of(task.id)
                if self.ledger.stopping:
                    return
                group.start_soon(one, task)

    async def _task(self, task: Task) -> None:
        await self.ledger.store.save_task(task)
        choices: dict[str, Choice] = {}

        async def choose(entrant: Entrant) -> None:
            choices[entrant.strategy.name] = await self._choose(task, entrant)

        async with anyio.create_task_group() as group:
            for entrant in self.entrants:
                group.start_soon(choose, entrant)
        if self.grader is not None and self.grade != "none":
            listed = list(choices.values())
            await grade_choices(self.ledger, self.grader, task, listed, which=self.grade, seed=self.seed)
        self.ledger.events.emit(TaskEnded(task.id))

    async def _choose(self, task: Task, entrant: Entrant) -> Choice:
        """Return the strategy's choice: the stored one where it stands, else a new one."""
        strategy, store = entrant.strategy, self.ledger.store
        work = StrategyRun(task, self.ledger, self.cast, self.seed, self.budget)
        choice = store.outcome(task.id, strategy.name, Choice)
        if choice is None or not stands(choice, strategy.text, work.setting, entrant.basis):
            choice = replace(await choose(work, strategy), basis=entrant.basis)
            await store.save_outcome(task.id, strategy.name, choice)
        self.ledger.events.emit(Chosen(task.id, strategy.name, choice.incomplete, choice.error))
        return choice


def entrant(strategy: Strategy, cast: Cast, budget: Budget, *, in_words: bool) -> Entrant:
    """Return a strategy as it enters; its choices can only stand where it was given `in_words`."""
    return Entrant(strategy, basis(strategy.run, [budget, *cast.bounds]) if in_words else "")


async def choose(work: StrategyRun, strategy: Strategy, pool: Pool = Pool()) -> Choice:
    """Run a strategy on a task and return its choice; a stage that raises becomes the choice's error."""
    error = ""
    try:
        pool = await strategy.run(pool, work.scope())
    except Exception as raised:  # noqa: BLE001 - one strategy's error must not harm the others
        error = "; ".join(_reasons(raised))
        pool = replace(pool, incomplete=True)
    winner = pool.winner
    return Choice(
        task_id=work.task.id,
        strategy=strategy.name,
        text=strategy.text,
        pool=pool.keys,
        winner=winner.key if winner else "",
        incomplete=pool.incomplete or bool(work.refusals),
        unfinished=work.unfinished,
        setting=work.setting,
        refusals=tuple(dict.fromkeys(work.refusals)),
        error=error,
        spending=work.spending,
        stages=work.trace(pool),
        used=tuple(key for key, use in work.uses.items() if use.kind == "rollout"),
    )


def _reasons(error: BaseException) -> list[str]:
    if isinstance(error, BaseExceptionGroup):
        inner = cast(tuple[BaseException, ...], error.exceptions)  # pyright: ignore[reportUnknownMemberType]
        return [reason for one in inner for reason in _reasons(one)]
    return [f"{type(error).__name__}: {error}"]
