"""What the page tells of one task: how each strategy chose, and what each attempt did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from tts.report import text
from tts.report.bracket import Met, bracket, rounds
from tts.report.page.highlight import cut, diff
from tts.report.task import PRIME
from tts.run import Choice, Run
from tts.trace import StageTrace
from tts.types import Grade, Rollout, Step, Summary, Task, Verdict

MARKS = {"right": "✓", "wrong": "✗", "ungraded": ""}
MOST_STEPS = 12
"""The last steps of a trajectory are shown."""
MOST_TEXT = 1_500
MOST_PROMPT = 20_000
MOST_SUMMARY = 6_000
MOST_REASONS = 6


@dataclass(frozen=True, slots=True)
class Reason:
    """Votes that agree: how many, for whom, and what was said."""

    n: int
    whom: str
    said: str


@dataclass(frozen=True, slots=True)
class Meeting:
    """One comparison: names and votes, and the reasons given."""

    number: int
    votes: tuple[tuple[str, int], ...]
    tie: bool
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class StageView:
    """One stage: how many came and went on, its brackets, its comparisons, and the attempts it made."""

    label: str
    flow: str
    places: tuple[Met, ...]
    meetings: tuple[Meeting, ...]
    made: tuple[tuple[str, str], ...]
    kept: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChoiceView:
    """How a strategy chose: `outcome` is right, wrong or ungraded."""

    strategy: str
    winner: str
    outcome: str
    score: float | None
    stages: tuple[StageView, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StepView:
    """One step, cut to size."""

    number: int
    action: str
    thought: str
    observation: str
    returncode: int | None


@dataclass(frozen=True, slots=True)
class RolloutView:
    """One attempt."""

    name: str
    outcome: str
    facts: tuple[str, ...]
    summary: str
    steps: tuple[StepView, ...]
    more_steps: int
    answer: str
    patch: Markup | None


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task, ready to be written."""

    id: str
    anchor: str
    prompt: str
    group: str
    choices: tuple[ChoiceView, ...]
    rollouts: tuple[RolloutView, ...]
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TaskReader:
    """Reads tasks of a run one at a time; `choices` are the current ones by task, `group` as in a report."""

    run: Run
    choices: Mapping[str, Sequence[Choice]]
    group: str = ""
    order: Sequence[str] = field(default_factory=list[str])

    def view(self, task: Task, number: int) -> TaskView:
        """Return what is told of a task."""
        return _Telling(
            task,
            self.run.rollouts(task.id),
            self.run.grades(task.id),
            self.run.verdicts(task.id),
            self.run.summaries(task.id),
            self.run,
        ).view(
            self._in_order(task.id),
            f"task-{number}",
            str(task.metadata.get(self.group, "")) if self.group else "",
        )

    def _in_order(self, task_id: str) -> list[Choice]:
        place = {name: i for i, name in enumerate(self.order)}
        return sorted(self.choices.get(task_id, ()), key=lambda c: place.get(c.strategy, len(place)))


@dataclass(frozen=True, slots=True)
class _Telling:
    task: Task
    rollouts: Mapping[str, Rollout]
    grades: Mapping[str, Grade]
    verdicts: Sequence[Verdict]
    summaries: Mapping[str, Summary]
    run: Run

    def view(self, choices: Sequence[Choice], anchor: str, group: str) -> TaskView:
        used = {key for choice in choices for key in choice.used}
        shown = sorted(
            (self.rollouts[k] for k in used if k in self.rollouts),
            key=lambda r: (r.iteration, r.index, r.key),
        )
        return TaskView(
            text.line(self.task.id, 120),
            anchor,
            cut(self.task.prompt, MOST_PROMPT),
            text.line(group, 80),
            tuple(self.choice(choice) for choice in choices),
            tuple(self.rollout(one) for one in shown),
            {key: self.marked(key) for key in self.rollouts},
        )

    def name(self, key: str) -> str:
        found = self.rollouts.get(key)
        return key[:6] if found is None else f"#{found.index}{PRIME * found.iteration}"

    def marked(self, key: str) -> str:
        return f"{self.name(key)} {MARKS[self.outcome(key)]}".rstrip()

    def outcome(self, key: str) -> str:
        if key not in self.grades:
            return "ungraded"
        return "right" if self.grades[key].resolved else "wrong"

    def choice(self, choice: Choice) -> ChoiceView:
        notes = [f"cut short: {text.line(r)}" for r in choice.refusals]
        notes += [f"a stage raised: {text.line(choice.error)}"] * bool(choice.error)
        grade = self.grades.get(choice.winner)
        return ChoiceView(
            text.line(choice.strategy, 60),
            self.name(choice.winner) if choice.winner else "nothing",
            self.outcome(choice.winner) if choice.winner or not self.grades else "wrong",
            None if grade is None else grade.score,
            tuple(self.stage(stage) for stage in choice.stages),
            tuple(notes),
        )

    def stage(self, stage: StageTrace) -> StageView:
        new = [self.rollouts[k] for k in stage.returned if k not in stage.given and k in self.rollouts]
        return StageView(
            text.line(stage.label, 80),
            f"{len(stage.given)} → {len(stage.returned)}" if stage.given else f"{len(stage.returned)} made",
            tuple(bracket(stage) or ()) if stage.matches else (),
            tuple(self.meetings(stage)),
            tuple((self.marked(r.key), ", ".join(map(self.marked, r.priors))) for r in new),
            tuple(self.marked(key) for key in stage.returned) if stage.given else (),
        )

    def meetings(self, stage: StageTrace) -> Iterator[Meeting]:
        for number, matches in enumerate(rounds(stage), start=1):
            for match in matches:
                votes = tuple((self.marked(k), n) for k, n in zip(match.group, match.votes, strict=True))
                tie = match.votes.count(max(match.votes)) > 1
                yield Meeting(number, votes, tie, tuple(self.reasons(frozenset(match.group))))

    def reasons(self, group: frozenset[str]) -> list[Reason]:
        cast = [v for v in self.verdicts if frozenset(v.shown) == group]
        counted = Counter((v.preferred, self.renamed(text.line(v.reason, 600))) for v in cast)
        return [
            Reason(n, "nobody" if whom is None else self.name(whom), said)
            for (whom, said), n in counted.most_common(MOST_REASONS)
        ]

    def renamed(self, said: str) -> str:
        for key in self.rollouts:
            said = said.replace(key, self.name(key))
        return said

    def rollout(self, one: Rollout) -> RolloutView:
        facts = [one.status, text.plural(one.n_steps, "step"), text.seconds(one.seconds)]
        facts += [text.plural(one.usage.tokens, "token")] * bool(one.usage.tokens)
        facts += [text.usd(one.usage.usd)] * bool(one.usage.usd)
        facts += [text.line(one.agent, 60)] * bool(one.agent)
        facts += [text.line(one.error, 300)] * bool(one.error)
        summary = self.summaries.get(one.key)
        steps = self.run.steps(one.key)
        first = max(0, len(steps) - MOST_STEPS)
        return RolloutView(
            self.name(one.key),
            self.outcome(one.key),
            tuple(facts),
            cut(summary.render(), MOST_SUMMARY) if summary else "",
            tuple(_step(i, step) for i, step in enumerate(steps[first:], start=first)),
            first,
            "" if one.patch is not None else cut(one.answer or "", MOST_TEXT),
            diff(one.patch) if one.patch else None,
        )


def _step(number: int, step: Step) -> StepView:
    parts = (step.action, step.thought, step.observation)
    action, thought, observation = (cut(part, MOST_TEXT) for part in parts)
    return StepView(number, action, thought, observation, step.returncode)
