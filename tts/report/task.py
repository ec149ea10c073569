"""Gathers what a run knows of one strategy's choice on one task, under names that a reader can follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tts.errors import UsageError
from tts.report import text
from tts.run import Choice, Run
from tts.summarizers.runs import runs_of
from tts.trace import Match
from tts.types import Grade, Rollout, Step, Task, TestRun, Verdict

PRIME = "′"


@dataclass(frozen=True, slots=True)
class Reason:
    """Votes on one group that agree: how many, for whom (None: abstained), and what was said."""

    n: int
    preferred: str | None
    said: str


@dataclass(frozen=True, slots=True)
class TaskStory:
    """A task, all choices on it, and the one to be told; records are by rollout key.

    `verdicts` are those of the run's present judge on summaries of its present summarizer. `tests` are the
    recognized test runs of the winner's trajectory, `steps` its last steps.
    """

    task: Task
    choice: Choice
    others: tuple[Choice, ...]
    rollouts: Mapping[str, Rollout]
    grades: Mapping[str, Grade]
    verdicts: tuple[Verdict, ...]
    names: Mapping[str, str]
    tests: tuple[TestRun, ...] = ()
    steps: tuple[Step, ...] = ()

    def name(self, key: str) -> str:
        """Return a rollout's short name: `#3`, with a prime for every refinement."""
        return self.names.get(key, key[:6])

    def renamed(self, said: str) -> str:
        """Return text with the keys of rollouts written as their names."""
        for key in self.choice.used:
            said = said.replace(key, self.name(key))
        return said

    def reasons(self, match: Match) -> list[Reason]:
        """Return the votes on a match, equal ones together, the most frequent first."""
        cast = [v for v in self.verdicts if set(v.shown) == set(match.group)]
        counted = Counter((v.preferred, text.line(self.renamed(v.reason), 300)) for v in cast)
        return [Reason(n, preferred, said) for (preferred, said), n in counted.most_common()]


def story_of(run: Run, task_id: str, *, strategy: str = "", steps: int = 0) -> TaskStory:
    """Return the story of a choice; without a strategy that of the one with the most stages.

    `steps` is the number of last steps of the winner's trajectory to read.

    Raises:
        UsageError: nobody has chosen on the task yet, or not that strategy.
    """
    choices = tuple(c for c in run.choices() if c.task_id == task_id)
    choice = _chosen(choices, task_id, strategy)
    rollouts = run.rollouts(task_id)
    trajectory = tuple(run.steps(choice.winner)) if choice.winner else ()
    return TaskStory(
        task=run.task(task_id),
        choice=choice,
        others=_in_order(choices, run.config.strategies),
        rollouts=rollouts,
        grades=run.grades(task_id),
        verdicts=_verdicts(run, task_id),
        names=_names(choice.used, rollouts),
        tests=tuple(runs_of(rollouts[choice.winner], list(enumerate(trajectory)))) if trajectory else (),
        steps=trajectory[-steps:] if steps else (),
    )


def _chosen(choices: Sequence[Choice], task_id: str, strategy: str) -> Choice:
    if not choices:
        raise UsageError(f"no strategy has chosen on {task_id!r} yet")
    if not strategy:
        return max(choices, key=lambda c: (len(c.stages), sum(len(s.matches) for s in c.stages), c.strategy))
    for choice in choices:
        if choice.strategy == strategy:
            return choice
    names = ", ".join(sorted(c.strategy for c in choices))
    raise UsageError(f"the strategy {strategy!r} has not chosen on {task_id!r}; there is {names}")


def _in_order(choices: Iterable[Choice], names: Sequence[str]) -> tuple[Choice, ...]:
    place = {name: i for i, name in enumerate(names)}
    return tuple(sorted(choices, key=lambda c: place.get(c.strategy, len(place))))


def _names(keys: Iterable[str], rollouts: Mapping[str, Rollout]) -> dict[str, str]:
    known = [rollouts[key] for key in keys if key in rollouts]
    short = {r.key: f"#{r.index}{PRIME * r.iteration}" for r in known}
    n_of = Counter(short.values())
    return {key: name if n_of[name] == 1 else f"{name}:{key[:4]}" for key, name in short.items()}


def _verdicts(run: Run, task_id: str) -> tuple[Verdict, ...]:
    people = run.config.performers
    summaries = run.store.records(kind="summary", task_id=task_id)
    present = {r.key for r in summaries if r.performer == people.get("summarizer")}
    records = run.store.records(kind="verdict", task_id=task_id)
    kept = (r for r in records if r.performer == people.get("judge") and present.issuperset(r.inputs))
    return tuple(r.read(Verdict) for r in kept if r.result is not None)
