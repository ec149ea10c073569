"""What came of a run on one task: the winner, its tests, why it won, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from shlex import quote
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from tts.agents.tested import OWN
from tts.cli.solving.board import named
from tts.cli.solving.live import attempt_line, tests_of
from tts.cli.solving.request import TASK, Where
from tts.report import text
from tts.report.story import story_view
from tts.report.task import TaskStory, story_of
from tts.run import Run
from tts.summarizers.runs import HARNESS_RUNS
from tts.trace import Match
from tts.types import Rollout, Step, Usage


@dataclass(frozen=True, slots=True)
class Landed:
    """Where the winner's patch was put; `error` says why it was not put where it was asked for."""

    applied: tuple[str, ...] | None = None
    branch: str = ""
    commit: str = ""
    file: str = ""
    error: str = ""

    def with_(self, **more: Any) -> Landed:
        """Return it with more filled in."""
        return replace(self, **more)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a strategy came to. `runs` are the harness's runs of the tests on the winner: first at the base.

    `broken` are the attempts that ended without a result, by name, with the reason.
    """

    where: Where
    story: TaskStory
    winner: Rollout | None
    runs: tuple[Step, ...]
    usage: Usage
    broken: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def attempts(self) -> list[Rollout]:
        """The attempts that the strategy used, in order."""
        used = [self.story.rollouts[k] for k in self.story.choice.used if k in self.story.rollouts]
        return sorted(used, key=lambda r: (r.iteration, r.index))

    @property
    def title(self) -> str:
        """The winner in a few words."""
        if self.winner is None:
            return "No winner"
        n = text.plural(len(self.attempts), "attempt")
        return f"Attempt {self.story.name(self.winner.key)} of {n}, chosen by {self.story.choice.strategy}"

    @property
    def tests(self) -> dict[str, Any] | None:
        """How the tests ended on the winner; None where they were not run."""
        if self.winner is None or not self.runs:
            return None
        own = next((step for step in self.runs if step.action.endswith(OWN)), None)
        signals = self.winner.signals
        counts = {name: signals.get(f"tests_{name}") for name in ("passed", "failed")}
        return {
            "command": self.runs[-1].action,
            "pass": tests_of(self.winner) == "pass",
            "returncode": self.runs[-1].returncode,
            **{name: None if n is None else int(n) for name, n in counts.items()},
            "base_returncode": self.runs[0].returncode,
            "own_returncode": own.returncode if own else None,
        }

    @property
    def why(self) -> str:
        """Why the winner won, in a sentence; "" without one."""
        if self.winner is None:
            return ""
        met = [m for s in self.story.choice.stages for m in s.matches if self.winner.key in m.group]
        if not met:
            return self._unmet()
        others = ", ".join(self.story.name(k) for k in met[-1].group if k != self.winner.key)
        votes = dict(zip(met[-1].group, met[-1].votes, strict=True))
        n, all_votes = votes[self.winner.key], sum(votes.values())
        won = f"{n} of {all_votes} votes against {others} in its last match"
        if list(votes.values()).count(n) > 1:
            won = f"by the rule for ties, after {n} of {all_votes} votes against {others}"
        said = self._said(met[-1])
        return f"{won}: {said}" if said else won

    def _unmet(self) -> str:
        patches = [r.patch for r in self.attempts if self.winner is None or r.key != self.winner.key]
        others = [patch for patch in patches if patch and self.winner and patch != self.winner.patch]
        if not patches:
            return "the only attempt"
        return "" if others else "no other attempt left another patch"

    def _said(self, match: Match) -> str:
        reasons = self.story.reasons(match)
        ours = (r.said for r in reasons if self.winner is not None and r.preferred == self.winner.key)
        return next(ours, "")


def outcome_of(run: Run, where: Where, strategy: str) -> Outcome:
    """Return what a finished run has come to.

    Raises:
        UsageError: no strategy has chosen.
    """
    story = story_of(run, TASK, strategy=_strategy(run, strategy))
    found = story.rollouts.get(story.choice.winner)
    winner = found if found is not None and found.patch else None
    runs: Sequence[Step] = ()
    if winner is not None and (n := int(winner.signals.get(HARNESS_RUNS, 0))):
        runs = run.steps(winner.key)[-n:]
    return Outcome(
        where=where,
        story=story,
        winner=winner,
        runs=tuple(runs),
        usage=story.choice.spending.usage,
        broken=_broken(run, story),
    )


def _strategy(run: Run, given: str) -> str:
    names = run.config.strategies
    return given if given in names else names[-1]


def _broken(run: Run, story: TaskStory) -> dict[str, str]:
    """The attempts that the machine took away, and that have not been made since."""
    performer = run.config.performers.get("agent")
    found: dict[str, str] = {}
    for record in run.store.records(kind="rollout", task_id=TASK):
        if record.performer == performer and record.key not in story.rollouts and record.status == "infra":
            found[named(record.occurrence, int(bool(record.inputs)))] = text.line(record.error, 300)
    return found


def view(outcome: Outcome, landed: Landed) -> Iterator[RenderableType]:
    """Yield what came of it, for a reader."""
    if outcome.winner is None:
        yield Text("no winner: no attempt left a change", style="bold red")
        yield from (Text(attempt_line(r)) for r in outcome.attempts)
    else:
        yield story_view(outcome.story)
    for name, error in outcome.broken.items():
        yield Text(f"attempt {name}: not made: {error}", style="yellow")
    yield Text("")
    yield from _tests(outcome)
    if outcome.why:
        yield Text(f"why     {outcome.why}")
    yield Text(f"cost    {_cost(outcome)}")
    yield from _landed(landed)
    yield from _next(outcome, landed)


def _tests(outcome: Outcome) -> Iterator[Text]:
    found = outcome.tests
    if found is None or outcome.winner is None:
        return
    passes = found["pass"]
    counts = [f"{found[name]} {name}" for name in ("passed", "failed") if found[name]]
    told = f"{'pass' if passes else 'do not pass'} ({', '.join(counts) or _code(found['returncode'])})"
    before = "passed" if found["base_returncode"] == 0 else "did not pass"
    head = f"tests   {text.line(outcome.runs[-1].action, 60)}: {told}; before the change they {before}"
    yield Text(head, style="green" if passes else "red")
    if found["own_returncode"] is not None:
        own = "pass" if found["own_returncode"] == 0 else f"do not pass ({_code(found['own_returncode'])})"
        yield Text(f"        this is with the tests as they were; with those that it changed they {own}")
    ends = [tests_of(rollout) for rollout in outcome.attempts if tests_of(rollout)]
    if len(ends) > 1 and len(set(ends)) == 1:
        yield Text(f"        they end alike for all {len(ends)} attempts: they tell none from another")
    if found["base_returncode"] in (126, 127) and not passes:
        yield Text(
            "        was the command found? --mount shows more of this machine in the sandbox", style="yellow"
        )


def _code(code: int) -> str:
    return f"exit status {code}"


def _cost(outcome: Outcome) -> str:
    used, spending = outcome.usage, outcome.story.choice.spending
    known = text.usd(used.known_usd)
    if used.unpriced_calls:
        known = f"{known} and what the agent did not tell" if used.known_usd else "dollars unknown"
    tokens = f", {text.plural(used.tokens, 'token')}" if used.tokens else ""
    longest = text.seconds(spending.critical_seconds)
    return f"{known}{tokens}, {text.seconds(spending.seconds)} of work, {longest} on the longest path"


def _landed(landed: Landed) -> Iterator[Text]:
    if landed.file:
        yield Text(f"patch   written to {text.line(landed.file, 300)}")
    if landed.branch:
        yield Text(f"branch  {text.line(landed.branch, 100)} is at {landed.commit[:10]}")
    if landed.applied is not None:
        files = ", ".join(text.line(path, 100) for path in landed.applied[:10])
        more = f" and {len(landed.applied) - 10} more" if len(landed.applied) > 10 else ""
        yield Text(f"applied to the working tree: {files or 'nothing was left to change'}{more}")
        if any(Path(path).name == ".gitattributes" for path in landed.applied):
            yield Text("        it changes .gitattributes: read that before you run git here", style="yellow")
    if landed.error:
        yield Text(f"not done: {landed.error}", style="bold red")


def _next(outcome: Outcome, landed: Landed) -> Iterator[Text]:
    where, place = outcome.where, quote(str(outcome.where.place))
    hints = [f"tts show {place} {TASK} --steps 5"]
    top = quote(str(where.top))
    if landed.applied is not None:
        hints.insert(0, f"git -C {top} diff")
    elif landed.branch:
        hints.insert(0, f"git -C {top} diff {where.base[:10]} {quote(landed.branch)}")
    elif outcome.winner is not None:
        hints.insert(0, "the same command with --apply, --branch NAME or --patch FILE: nothing runs again")
    for number, hint in enumerate(hints):
        yield Text(f"{'next:' if number == 0 else '     '} {text.line(hint, 500)}", style="cyan")


def document(outcome: Outcome, landed: Landed) -> dict[str, Any]:
    """Return all of it as plain values."""
    winner, where = outcome.winner, outcome.where
    return {
        "task": {"prompt": where.prompt, "repo": str(where.top), "base": where.base},
        "strategy": outcome.story.choice.strategy,
        "winner": None if winner is None else {**_attempt(winner), **_won(outcome, winner)},
        "attempts": [_attempt(rollout) for rollout in outcome.attempts],
        "broken": outcome.broken,
        "incomplete": outcome.story.choice.incomplete,
        "usage": {**asdict(outcome.usage), "usd": outcome.usage.usd},
        "landed": asdict(landed),
        "run": str(where.place),
    }


def _attempt(rollout: Rollout) -> dict[str, Any]:
    return {
        "index": rollout.index,
        "iteration": rollout.iteration,
        "status": rollout.status,
        "tests": tests_of(rollout) or None,
        "changed": bool(rollout.patch),
        "steps": rollout.n_steps,
        "seconds": rollout.seconds,
        "usd": rollout.usage.usd,
        "error": rollout.error,
    }


def _won(outcome: Outcome, winner: Rollout) -> dict[str, Any]:
    return {"patch": winner.patch, "tests": outcome.tests, "why": outcome.why}
