"""A run as its readers see it: what was chosen, what it cost, and how it compares; also while it is live."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType

from tts.comparison import Comparison, Measured, compare
from tts.errors import UsageError
from tts.ledger import STOPPED
from tts.records import Record, decode
from tts.registry import estimator
from tts.samples import Cost, Estimator, Sample, Samples
from tts.store import Store
from tts.trace import Spending, StageTrace, setting
from tts.types import RESULTS, Effect, Grade, Rollout, Step, Summary, Task, Verdict


@dataclass(frozen=True, slots=True)
class Choice:
    """What a strategy chose on a task.

    `pool` are the keys of its last pool, best first; `winner` is one of them, or empty when there was none.
    `incomplete` says that a limit, a stop or the machine cut it short, and `refusals` why; `unfinished`
    that running again may do better, after a stop or a failure of the machine. `error` is set when a stage
    raised. `setting` is a hash of task, seed and performers, `basis` one of the code that chose and its
    budget ("": not known). `used` are the keys of all rollouts it used.
    """

    task_id: str
    strategy: str
    text: str
    pool: tuple[str, ...] = ()
    winner: str = ""
    incomplete: bool = False
    unfinished: bool = False
    setting: str = ""
    refusals: tuple[str, ...] = ()
    error: str = ""
    spending: Spending = Spending()
    stages: tuple[StageTrace, ...] = ()
    used: tuple[str, ...] = ()
    basis: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """What a run was asked for, kept with the run. `strategies` and `estimators` are names in order.

    `templates` are the prompts of the roles that models play, by role and name.
    """

    strategies: tuple[str, ...] = ()
    estimators: tuple[str, ...] = ()
    seed: int = 0
    performers: Mapping[str, str] = field(default_factory=dict[str, str])
    version: str = ""
    templates: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])


def read_config(store: Store) -> Config:
    """Return what the run was last asked for; empty for a new run."""
    found = store.meta("config")
    return Config() if found is None else decode(json.dumps(found).encode(), Config)


async def extend_config(store: Store, asked: Config) -> Config:
    """Keep what the run is asked for now, beside the strategies and estimators asked for earlier.

    Return what it was asked for before.
    """
    before = read_config(store)
    strategies = tuple(dict.fromkeys([*before.strategies, *asked.strategies]))
    estimators = tuple(dict.fromkeys([*before.estimators, *asked.estimators]))
    merged = replace(asked, strategies=strategies, estimators=estimators)
    await store.save_meta("config", asdict(merged))
    return before


class Run:
    """A run on disk, opened for reading. Close it, or use it as a context manager."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @classmethod
    def open(cls, place: str | Path) -> Run:
        """Return the run in a folder.

        Raises:
            StoreError: there is none, or a newer version wrote it.
        """
        return cls(Store.read(Path(place)))

    def close(self) -> None:
        """Close the file."""
        self.store.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def config(self) -> Config:
        """What the run was last asked for."""
        return read_config(self.store)

    def tasks(self) -> Iterator[Task]:
        """Return the tasks, by id."""
        return self.store.tasks()

    def task(self, task_id: str) -> Task:
        """Return a task.

        Raises:
            UsageError: there is none of that id; the message names some.
        """
        ids: list[str] = []
        for task in self.tasks():
            if task.id == task_id:
                return task
            ids.append(task.id)
        raise UsageError(
            f"the run has no task {task_id!r}; it has {', '.join(ids[:5])}{'…' * (len(ids) > 5)}"
        )

    def choices(self) -> Iterator[Choice]:
        """Return every strategy's choice on every task."""
        return self.store.outcomes(Choice)

    def current_choices(self) -> Iterator[Choice]:
        """Return the choices made with the seed, performers and tasks that the run was last asked for."""
        config = self.config
        settings = {task.id: setting(task, config.seed, config.performers) for task in self.tasks()}
        return (choice for choice in self.choices() if choice.setting == settings.get(choice.task_id))

    def rollouts(self, task_id: str | None = None) -> dict[str, Rollout]:
        """Return the rollouts that ended with a result, by key."""
        records = self.store.records(kind="rollout", task_id=task_id)
        return {r.key: r.read(Rollout) for r in records if r.result is not None}

    def summaries(self, task_id: str) -> dict[str, Summary]:
        """Return the summaries of a task's rollouts, by rollout key; of several the latest."""
        records = self.store.records(kind="summary", task_id=task_id)
        found = (r.read(Summary) for r in records if r.result is not None)
        return {summary.rollout: summary for summary in found}

    def verdicts(self, task_id: str) -> list[Verdict]:
        """Return a task's verdicts, oldest first."""
        records = self.store.records(kind="verdict", task_id=task_id)
        return [r.read(Verdict) for r in records if r.result is not None]

    def steps(self, key: str) -> Sequence[Step]:
        """Return the trajectory of a rollout."""
        return self.store.steps(key)

    def grades(self, task_id: str) -> dict[str, Grade]:
        """Return the grade of each rollout whose output was graded, by rollout key.

        Equal outputs of a task are graded once and share the grade; a rollout without an output is not
        resolved.
        """
        grader = self.config.performers.get("grader")
        if grader is None:
            return {}
        records = self.store.records(kind="grade", task_id=task_id)
        theirs = ((r.inputs[0], r.read(Grade)) for r in records if r.result and r.performer == grader)
        graded = {key: grade for key, grade in theirs if grade.status == "finished"}
        rollouts = self.rollouts(task_id)
        by_output = {rollouts[key].output: grade for key, grade in graded.items() if key in rollouts}
        shared = {key: by_output[r.output] for key, r in rollouts.items() if r.output in by_output}
        silent = {key: Grade(detail="no output") for key, r in rollouts.items() if not r.output}
        return {**silent, **shared}

    def comparison(self, *, group: str = "") -> Comparison:
        """Return accuracies, paired differences and costs of the strategies and estimators of the run.

        `group` names the task metadata by which standard errors are clustered; without it tasks stand alone.

        Raises:
            UsageError: nothing is graded.
        """
        tasks = list(self.tasks())
        graded = {task.id: self.grades(task.id) for task in tasks}
        if not any(graded.values()):
            raise UsageError(
                "the run has no grades, so there is no accuracy to compare: run it with a grader"
            )
        clusters = {task.id: str(task.metadata.get(group, "")) if group else "" for task in tasks}
        names = self.config.strategies
        chosen = {(c.strategy, c.task_id): c for c in self.current_choices()}
        measured = [self._measured(name, chosen, graded) for name in names]
        expected = [self._expected(name, tasks, graded) for name in self.config.estimators]
        return compare([*measured, *expected], clusters)

    def _measured(
        self, name: str, chosen: Mapping[tuple[str, str], Choice], graded: Mapping[str, Mapping[str, Grade]]
    ) -> Measured:
        """Return a strategy's values: 0 for a task without a winner; none until its winner is graded."""
        values: dict[str, float] = {}
        costs: dict[str, Cost] = {}
        for task_id, grades in graded.items():
            choice = chosen.get((name, task_id))
            if choice is None or not _is_counted(choice, grades):
                continue
            values[task_id] = grades[choice.winner].score if choice.winner else 0.0
            costs[task_id] = cost_of(choice.spending)
        return Measured(name, values, costs)

    def _expected(
        self, name: str, tasks: Sequence[Task], graded: Mapping[str, Mapping[str, Grade]]
    ) -> Measured:
        """Return an estimator's values over each task's unconditioned rollouts, where there are enough."""
        found: Estimator = estimator(name)
        values: dict[str, float] = {}
        for task in tasks:
            samples = self._samples(task, graded[task.id])
            try:
                if samples is not None:
                    values[task.id] = found(samples, draws=10_000, seed=0).value
            except UsageError:
                continue
        return Measured(name, values, oracle=found.oracle)

    def samples(self, *, group: str = "") -> list[Samples]:
        """Return the unconditioned rollouts of the tasks where all are whole and graded, as samples.

        `group` names the task metadata that clusters the tasks.
        """
        graded = ((task, self._samples(task, self.grades(task.id))) for task in self.tasks())
        return [
            replace(found, group=str(task.metadata.get(group, "")) if group else "")
            for task, found in graded
            if found is not None and len(found)
        ]

    def _samples(self, task: Task, grades: Mapping[str, Grade]) -> Samples | None:
        """Return the task's unconditioned rollouts; None where one was cut short or is not graded.

        Without those the rest would be no random sample: what a race cuts is longer.
        """
        records = list(self.store.records(kind="rollout", task_id=task.id))
        ours = [record for record in records if record.key == self._key(task, record)]
        whole = {r.key: r.read(Rollout) for r in ours if r.status in RESULTS}
        cut = any(r.status == "cancelled" and r.key not in whole for r in ours)
        if cut or not whole.keys() <= grades.keys():
            return None
        first = sorted(whole.values(), key=lambda r: r.index)
        samples = tuple(
            Sample(
                r.index,
                answer=r.answer,
                patch=r.patch,
                correct=grades[r.key].score,
                length=r.length,
                seconds=r.seconds,
                agent=r.agent,
            )
            for r in first
        )
        outputs = [r.output or None for r in first]
        numbers = {output: i for i, output in enumerate(dict.fromkeys(o for o in outputs if o))}
        return Samples(task.id, samples, tuple(numbers.get(o) if o else None for o in outputs))

    def _key(self, task: Task, record: Record) -> str:
        """The key that an unconditioned rollout of the task has under the run's agent and seed."""
        agent, seed = self.config.performers.get("agent", ""), self.config.seed
        return Effect("rollout", task, Rollout, agent, (), record.params, record.occurrence, seed).key


def _is_counted(choice: Choice, grades: Mapping[str, Grade]) -> bool:
    """Whether a choice says something of its strategy: it was neither stopped nor is its winner ungraded."""
    if not choice.winner:
        return not choice.unfinished
    stopped = any(reason.startswith(STOPPED) for reason in choice.refusals)
    return choice.winner in grades and not stopped


def cost_of(spending: Spending) -> Cost:
    """Return a strategy's spending as the cost of a comparison."""
    usage = spending.usage
    return Cost(
        calls=usage.calls,
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        output_tokens=usage.output_tokens,
        usd=usage.usd,
        critical_seconds=spending.critical_seconds,
        critical_tokens=spending.critical_tokens,
    )
