"""Grades what a run has chosen, or a file of predictions: after selection, and never before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import anyio

from tts.cli.play import interruptible
from tts.cli.progress import Tally, meter
from tts.events import Events, Listener, Noticed
from tts.executors.local import local
from tts.grading import grade_choices
from tts.ledger import STOPPED, Ledger
from tts.protocols import Grader, bound_of
from tts.run import Choice, Run, extend_config, read_config
from tts.store import Store
from tts.types import Budget, Grade, Rollout, Task

WINDOW = 8
"""How many tasks are open for each worker; their gradings wait for their turn."""


@dataclass(slots=True)
class Session:
    """What a session of grading did: gradings ended, and the errors of those that failed, by task.

    `open_tasks` are those left out since no strategy, or not each that began, has chosen on them.
    """

    n_graded: int = 0
    errors: dict[str, str] = field(default_factory=dict[str, str])
    open_tasks: list[str] = field(default_factory=list[str])
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Fixed:
    """A grader whose fingerprint, which may be a hash over a whole data set, was worked out once."""

    grader: Grader
    fingerprint: str
    bound: Budget

    async def grade(self, task: Task, rollout: Rollout) -> Grade:
        """Return the grader's grade."""
        return await self.grader.grade(task, rollout)


def fixed(grader: Grader) -> Grader:
    """Return the same grader, cheap to be asked who it is."""
    return Fixed(grader, grader.fingerprint, bound_of(grader))


@dataclass(frozen=True, kw_only=True, slots=True)
class RunGrading:
    """The grading of a stored run: of the `winners` or of `all` rollouts that its strategies used.

    `repos` are the places of repositories by task, where they are no longer those that the run has.
    """

    grader: Grader
    which: str
    repos: Mapping[str, str] = field(default_factory=dict[str, str])
    estimators: tuple[str, ...] = ()
    workers: int = 4
    listeners: Sequence[Listener] = ()

    async def run(self, place: Path, *, grace_seconds: float) -> Session:
        """Grade what is not graded yet, into the run's own database.

        Raises:
            StoreError: there is no run, or it is being written.
        """
        Run.open(place).close()  # a folder without a run is not made one
        store = Store.open(place)
        session, stop = Session(), anyio.Event()
        try:
            with meter(Tally()) as listener:
                events = Events(*self.listeners, listener)
                await interruptible(partial(self._in, store, session, events), stop, grace_seconds)
        finally:
            store.close()
        return replace(session, interrupted=stop.is_set())

    async def _in(self, store: Store, session: Session, events: Events, *, interrupt: anyio.Event) -> None:
        seed = await self._save(store, events)
        work = _choices(Run(store), session)
        slots = {"grade": self.workers}
        async with (
            Ledger(store, local(grader=self.grader), slots=slots, events=events) as ledger,
            anyio.create_task_group() as group,
        ):
            group.start_soon(_interrupted, interrupt, ledger)
            window = anyio.CapacityLimiter(WINDOW * self.workers)
            async with anyio.create_task_group() as tasks:
                for task, choices in work:
                    tasks.start_soon(self._task, task, choices, ledger, seed, session, window)
            group.cancel_scope.cancel()

    async def _task(
        self,
        task: Task,
        choices: Sequence[Choice],
        ledger: Ledger,
        seed: int,
        session: Session,
        window: anyio.CapacityLimiter,
    ) -> None:
        placed = replace(task, repo=self.repos.get(task.id, task.repo))
        async with window:
            done = await grade_choices(ledger, self.grader, placed, choices, which=self.which, seed=seed)
        session.n_graded += sum(one.result is not None for one in done.values())
        failed = [str(one.error).removeprefix("Infra: ") for one in done.values() if one.error is not None]
        if failed and not ledger.stopping:
            session.errors[task.id] = failed[0]

    async def _save(self, store: Store, events: Events) -> int:
        """Keep with the run who grades it, and say where an earlier grader was another; return its seed."""
        before, fingerprint = read_config(store), self.grader.fingerprint
        performers = {**before.performers, "grader": fingerprint}
        await extend_config(store, replace(before, performers=performers, estimators=self.estimators))
        if before.performers.get("grader", fingerprint) != fingerprint:
            told = "the grader has changed: what the earlier one graded stays, and is not used here"
            events.emit(Noticed(told))
        return before.seed


def _choices(run: Run, session: Session) -> list[tuple[Task, list[Choice]]]:
    """Return the tasks on which every strategy that began has chosen, with the choices; note the others."""
    by_task: dict[str, list[Choice]] = {}
    for choice in run.current_choices():
        by_task.setdefault(choice.task_id, []).append(choice)
    found: list[tuple[Task, list[Choice]]] = []
    for task in run.tasks():
        choices = by_task.get(task.id, [])
        if choices and not any(choice.unfinished for choice in choices):
            found.append((task, choices))
        else:
            session.open_tasks.append(task.id)
    return found


async def _interrupted(interrupt: anyio.Event, ledger: Ledger) -> None:
    await interrupt.wait()
    ledger.stop(STOPPED)


async def grade_patches(
    grader: Grader, tasks: Mapping[str, Task], patches: Mapping[str, str], *, workers: int
) -> tuple[dict[str, Grade], dict[str, str]]:
    """Return the grades of patches by task, and the errors of those that could not be graded.

    An empty patch is not resolved, and nobody is asked.
    """
    grades: dict[str, Grade] = {}
    errors: dict[str, str] = {}
    limiter = anyio.CapacityLimiter(workers)

    async def one(name: str, patch: str) -> None:
        async with limiter:
            try:
                grade = await grader.grade(tasks[name], Rollout(key=name, task_id=name, patch=patch))
            except Exception as error:  # noqa: BLE001 - told with the task, as the run's ledger would
                errors[name] = f"{type(error).__name__}: {error}".removeprefix("Infra: ")
                return
        if grade.status == "finished":
            grades[name] = grade
        else:
            errors[name] = grade.detail or "the grader gave no grade"

    async with anyio.create_task_group() as group:
        for name, patch in patches.items():
            if patch.strip():
                group.start_soon(one, name, patch)
            else:
                grades[name] = Grade(rollout=name, outcome="empty patch")
    return grades, errors
