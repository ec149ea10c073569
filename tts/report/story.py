"""One task as rich renderables: the bracket, the votes with their reasons, the winner and what it left."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

from tts.report import text
from tts.report.bracket import bracket, drawn, rounds
from tts.report.task import Reason, TaskStory
from tts.report.terminal import CUT, RAISED, mark_of, marked
from tts.trace import Match, StageTrace
from tts.types import Rollout, Step

MAX_DIFF_LINES = 400
MAX_PROMPT_LINES = 12
MAX_OUTPUT_CHARACTERS = 1_500


def story_view(story: TaskStory) -> RenderableType:
    """Return the whole story of a choice."""
    return Group(*_head(story), *_stages(story), *_winner(story), *_steps(story))


def _head(story: TaskStory) -> Iterator[RenderableType]:
    yield Rule(Text(text.line(story.task.id), style="bold"), align="left")
    lines = text.clean(story.task.prompt).strip().split("\n")
    more = [f"… {text.plural(len(lines) - MAX_PROMPT_LINES, 'more line')}"] * (len(lines) > MAX_PROMPT_LINES)
    yield Padding(Text("\n".join([*lines[:MAX_PROMPT_LINES], *more]), style="dim"), (0, 0, 1, 2))
    for choice in story.others:
        sign = mark_of(choice.winner, story.grades) + CUT * choice.incomplete + RAISED * bool(choice.error)
        chosen = _outside_name(story, choice.winner)
        yield marked(f"  {sign:<3}{text.line(choice.strategy, 48):<24} chose {chosen}")
    yield Text("")


def _outside_name(story: TaskStory, key: str) -> str:
    """The name of another strategy's winner, which the story itself may not use."""
    if not key:
        return "nothing"
    rollout = story.rollouts.get(key)
    named = f"#{rollout.index}" + "′" * rollout.iteration if rollout else key[:6]
    return story.names.get(key, named)


def _stages(story: TaskStory) -> Iterator[RenderableType]:
    yield Rule(Text(f"how {text.line(story.choice.strategy, 48)} chose", style="bold"), align="left")
    for number, stage in enumerate(story.choice.stages, start=1):
        yield marked(f"{number}  {text.line(stage.label, 60)}   {_flow(stage)}", "bold")
        yield Padding(Group(*_stage(story, stage)), (0, 0, 1, 3))
    for refusal in story.choice.refusals:
        yield Text(f"cut short: {text.line(refusal)}", style="yellow")
    if story.choice.error:
        yield Text(f"a stage raised: {text.line(story.choice.error)}", style="red")


def _flow(stage: StageTrace) -> str:
    return f"{len(stage.given)} → {len(stage.returned)}" if stage.given else f"→ {len(stage.returned)}"


def _stage(story: TaskStory, stage: StageTrace) -> Iterator[Text]:
    new = [key for key in stage.returned if key not in stage.given]
    if stage.matches:
        yield from _tournament(story, stage)
    if new:
        yield from _made(story, new)
    elif not stage.matches:
        yield from _ranked(story, stage)


def _made(story: TaskStory, keys: list[str]) -> Iterator[Text]:
    """New rollouts, those with the same priors together."""
    made = [story.rollouts[key] for key in keys if key in story.rollouts]
    for priors, group in groupby(made, key=lambda r: r.priors):
        if priors:
            yield Text(f"from the summaries of {'  '.join(_name(story, key) for key in priors)}", style="dim")
        yield marked("  ".join(_shown(story, rollout) for rollout in group))


def _ranked(story: TaskStory, stage: StageTrace) -> Iterator[Text]:
    """The pool in its new order, equal outputs together."""
    pool = [story.rollouts[key] for key in stage.returned if key in story.rollouts]
    classes: dict[str | None, list[Rollout]] = {}
    for rollout in pool:
        classes.setdefault(rollout.output or None, []).append(rollout)
    for output, group in classes.items():
        told = f"{len(group)} ×" if output is not None else "no output:"
        yield marked(f"{told} {'  '.join(_name(story, r.key) for r in group)}")
    yield from _left_out(story, stage, list(stage.given))


def _tournament(story: TaskStory, stage: StageTrace) -> Iterator[Text]:
    met = {key for match in stage.matches for key in match.group}
    places = bracket(stage)
    for place in places or []:
        for line in drawn(place, lambda key: _name(story, key)):
            shown = marked(line)
            shown.no_wrap = True
            yield shown
        yield Text("")
    yield from _left_out(story, stage, [key for key in stage.given if key not in met])
    for number, matches in enumerate(rounds(stage), start=1):
        for match in matches:
            yield from _match(story, match, number)


def _left_out(story: TaskStory, stage: StageTrace, keys: list[str]) -> Iterator[Text]:
    """Those of the pool that met nobody: they went on all the same, or did not enter."""
    through = [_name(story, key) for key in keys if key in stage.returned]
    out = [_name(story, key) for key in keys if key not in stage.returned]
    if through and stage.matches:
        yield marked(f"went on without a match: {'  '.join(through)}")
    if out:
        yield marked(f"did not enter (the same output as another, or none): {'  '.join(out)}")


def _match(story: TaskStory, match: Match, number: int) -> Iterator[Text]:
    votes = "  ".join(f"{_name(story, k)} {n}" for k, n in zip(match.group, match.votes, strict=True))
    tie = "  a tie, drawn" if match.votes.count(max(match.votes)) > 1 else ""
    yield marked(f"round {number}  {votes}{tie}")
    for reason in story.reasons(match):
        yield Text(f"         {_reason(story, reason)}", style="dim")


def _reason(story: TaskStory, reason: Reason) -> str:
    whom = "nobody" if reason.preferred is None else story.name(reason.preferred)
    said = f": {reason.said}" if reason.said else ""
    return f"{text.plural(reason.n, 'vote')} for {whom}{said}"


def _winner(story: TaskStory) -> Iterator[RenderableType]:
    rollout = story.rollouts.get(story.choice.winner)
    if rollout is None:
        yield Text("no winner", style="bold")
        return
    yield Rule(Text(f"winner {story.name(rollout.key)}", style="bold"), align="left")
    grade = story.grades.get(rollout.key)
    if grade is not None:
        told = f"{mark_of(rollout.key, story.grades)} {'resolved' if grade.resolved else 'not resolved'}"
        yield marked(f"grade   {told}, score {grade.score:.2f}  {text.line(grade.detail)}")
    yield Text(f"ended   {_ended(rollout)}")
    yield from _tests(story)
    yield Text("")
    yield from _output(rollout)


def _ended(rollout: Rollout) -> str:
    parts = [rollout.status, text.plural(rollout.n_steps, "step"), text.seconds(rollout.seconds)]
    parts += [text.plural(rollout.usage.tokens, "token")] * bool(rollout.usage.tokens)
    return ", ".join(parts) + (f": {text.line(rollout.error)}" if rollout.error else "")


def _tests(story: TaskStory) -> Iterator[Text]:
    last = {test.command: test for test in story.tests}
    for test in list(last.values())[-3:]:
        known = [f"{n} {word}" for n, word in ((test.passed, "passed"), (test.failed, "failed")) if n]
        told = ", ".join(known) or f"returned {test.returncode}"
        yield Text(f"tests   {text.line(test.command, 60)}: {told} (step {test.step})")


def _output(rollout: Rollout) -> Iterator[RenderableType]:
    if not rollout.output:
        yield Text("no output", style="dim")
    elif rollout.patch is None:
        yield Text(text.clean(rollout.output[:MAX_OUTPUT_CHARACTERS]))
    else:
        lines = text.clean(rollout.patch).splitlines()
        more = [f"… {len(lines) - MAX_DIFF_LINES:,} more lines"] * (len(lines) > MAX_DIFF_LINES)
        shown = "\n".join([*lines[:MAX_DIFF_LINES], *more])
        yield Syntax(shown, "diff", theme="ansi_dark", background_color="default", word_wrap=True)


def _steps(story: TaskStory) -> Iterator[RenderableType]:
    rollout = story.rollouts.get(story.choice.winner)
    if not story.steps or rollout is None:
        return
    first = rollout.n_steps - len(story.steps)
    told = "its last step" if len(story.steps) == 1 else f"its last {len(story.steps)} steps"
    yield Rule(Text(told, style="bold"), align="left")
    for number, step in enumerate(story.steps, start=first):
        yield from _step(number, step)


def _step(number: int, step: Step) -> Iterator[Text]:
    code = "" if step.returncode is None else f"  → {step.returncode}"
    yield Text(f"{number}  {text.line(step.action or '(no action)', 300)}{code}", style="bold")
    for part, style in ((step.thought, "italic"), (step.observation, "dim")):
        cut = text.clean(part[:MAX_OUTPUT_CHARACTERS]).strip("\n")
        if cut:
            yield Text("\n".join(f"   {line}" for line in cut.splitlines()), style=style)


def _name(story: TaskStory, key: str) -> str:
    return f"{story.name(key)} {mark_of(key, story.grades)}" if story.grades else story.name(key)


def _shown(story: TaskStory, rollout: Rollout) -> str:
    ended = "" if rollout.status == "finished" else f" ({rollout.status})"
    return _name(story, rollout.key) + ended
