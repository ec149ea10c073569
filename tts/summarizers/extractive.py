"""A summarizer without a model: it reads captured evidence out of a trajectory, and keeps claims apart."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import ClassVar

from tts.diffs import FileDiff, parse_patch
from tts.hostile import cut, line
from tts.summarizers.evidence_text import changes, error_of, has_traceback, is_claim, requirements, sentences
from tts.summarizers.runs import passing, runs_of, same_tests, selection
from tts.summarizers.shell import is_edit, simple_commands, unwrapped
from tts.types import FREE, Budget, Change, Command, Problem, Rollout, Step, Summary, Task, TestRun, digest

_Numbered = Sequence[tuple[int, Step]]


@dataclass(frozen=True, slots=True)
class ExtractiveSummarizer:
    """Summarizes a trajectory by reading it, at no cost.

    Evidence is what a harness captured: a step with a return code. What a step without one prints is a
    claim, and so is everything an agent says. Test results count only where the command is a recognized
    test command, or the harness itself ran the tests (`runs.runs_of`), and for the final state only after
    the last known edit (`shell.is_edit`: a file that a script writes is not known from its command line).

    Sizes are in characters: `max_output_chars` of one command's output, `max_line_chars` of one claim,
    error or requirement, `max_read_chars` of one observation, `max_command_chars` of one command and
    one side of a change. `max_steps` is how many steps are read, the last ones: `Summary.covered` says
    what share that is. At most `max_items` claims, changes, files and requirements are shown, with a
    note on the rest.
    """

    max_output_chars: int = 1500
    max_command_chars: int = 1500
    max_line_chars: int = 300
    max_read_chars: int = 200_000
    max_steps: int = 400
    max_items: int = 30

    bound: ClassVar[Budget] = FREE
    version: ClassVar[str] = "1"

    @property
    def fingerprint(self) -> str:
        """Name, version and sizes."""
        return f"extractive/{self.version}/{digest(list(astuple(self)))[:12]}"

    async def summarize(self, task: Task, rollout: Rollout, steps: Sequence[Step]) -> Summary:
        """Return the summary of the rollout whose trajectory is `steps`."""
        first = max(0, len(steps) - self.max_steps)
        read = [(i, self._shortened(steps[i])) for i in range(first, len(steps))]
        return _Reading(self, task, rollout, read).summary(self._covered(steps, first))

    def _shortened(self, step: Step) -> Step:
        if len(step.observation) <= self.max_read_chars:
            return step
        half = self.max_read_chars // 2
        text = step.observation[:half] + "\n" + step.observation[-half:]
        return Step(step.thought, step.action, text, step.returncode)

    def _covered(self, steps: Sequence[Step], first: int) -> float:
        shares = (min(1.0, self.max_read_chars / max(1, len(s.observation))) for s in steps[first:])
        return sum(shares) / len(steps) if steps else 1.0


class _Reading:
    """One trajectory as it is read; each method gives one part of the summary."""

    def __init__(self, size: ExtractiveSummarizer, task: Task, rollout: Rollout, steps: _Numbered) -> None:
        self.size, self.task, self.rollout, self.steps = size, task, rollout, steps
        self.files = parse_patch(rollout.patch or "")
        self.captured = [(i, s) for i, s in steps if s.returncode is not None]
        self.runs = runs_of(rollout, steps)
        self.last_edit = max((i for i, s in steps if is_edit(s.action)), default=-1)
        self.last_runs = list({same_tests(run.command): run for run in self.runs}.values())
        self.current = [run for run in self.last_runs if run.step >= self.last_edit]

    def summary(self, covered: float) -> Summary:
        claims = tuple(self._claims())
        return Summary(
            rollout=self.rollout.key,
            requirements=requirements(self.task.prompt, n=self.size.max_items, size=self.size.max_line_chars),
            approach=tuple(approach(self.steps)),
            files_examined=self._few(_unique(self._examined())),
            files_modified=self._few(self._modified()),
            changes=self._changes(),
            commands=tuple(self._commands()),
            last_edit=self.last_edit,
            tests=tuple(self._shown(run) for run in self.runs),
            errors=tuple(self._errors()),
            verified=tuple(self._verified()),
            attempted=tuple(self._attempted()),
            unverified=tuple(self._unverified(claims)),
            claims=self._few(claims),
            final_state=self._final_state(),
            outcome=self.rollout.status,
            covered=covered,
        )

    def _few(self, items: Sequence[str]) -> tuple[str, ...]:
        """The last items, with a note on how many are not shown."""
        rest = len(items) - self.size.max_items
        return tuple(items) if rest <= 0 else (f"[{rest} earlier ones not shown]", *items[rest:])

    def _line(self, text: str) -> str:
        return line(text, self.size.max_line_chars)

    def _shown(self, run: TestRun) -> TestRun:
        command = cut(run.command, self.size.max_command_chars)
        return TestRun(run.step, command, run.returncode, run.passed, run.failed)

    def _commands(self) -> Iterator[Command]:
        for i, step in self.captured:
            command = cut(step.action, self.size.max_command_chars)
            yield Command(i, command, step.returncode or 0, cut(step.observation, self.size.max_output_chars))

    def _examined(self) -> Iterator[str]:
        for _, step in self.captured:
            if not is_edit(step.action):
                yield from (self._line(path) for path in _paths_read(step.action))

    def _modified(self) -> list[str]:
        if self.rollout.patch is not None:
            return _unique(self._line(file.path) for file in self.files)
        places = (_PLACE.match(s.action.strip()) for _, s in self.captured if is_edit(s.action))
        return _unique(self._line(match[1]) for match in places if match)

    def _changes(self) -> tuple[Change, ...]:
        found = list(changes(self.files, size=self.size.max_command_chars))
        shown, rest = found[: self.size.max_items], len(found) - self.size.max_items
        return (*shown, Change(f"[{rest} more changes not shown]")) if rest > 0 else tuple(shown)

    def _errors(self) -> Iterator[Problem]:
        runs = {run.step: run for run in self.runs}
        fine = {i: _succeeded(s, runs.get(i)) for i, s in self.captured}
        last_fine = {same_tests(s.action): i for i, s in self.captured if fine[i]}
        for i, step in self.captured:
            if not fine[i]:
                text = f"`{line(step.action, 120)}` returned {step.returncode}: {error_of(step.observation)}"
                yield Problem(i, self._line(text), resolved=last_fine.get(same_tests(step.action), -1) > i)

    def _claims(self) -> Iterator[str]:
        size = self.size.max_line_chars
        for i, step in self.steps:
            said = step.thought if step.returncode is not None else f"{step.thought}\n{step.observation}"
            yield from (line(f"step {i}: {s}", size) for s in sentences(said, size) if is_claim(s))
        yield from (line(f"final answer: {s}", size) for s in sentences(self.rollout.answer or "", size))

    def _verified(self) -> Iterator[str]:
        when = "after the last edit" if self.last_edit >= 0 else "; no edit is known"
        for run in self.current:
            if passing(run):
                yield f"{_tests_of(run)} of `{self._line(run.command)}` passed {when} (step {run.step})"
        for before, after in self._reproductions():
            yield (
                f"`{self._line(after.command)}` failed at step {before.step} and passes at step {after.step}"
            )

    def _reproductions(self) -> Iterator[tuple[TestRun, TestRun]]:
        for last in self.current:
            same = same_tests(last.command)
            earlier = (r for r in self.runs if r.step < last.step and same_tests(r.command) == same)
            failed = next((r for r in earlier if not passing(r)), None)
            if failed is not None and passing(last):
                yield failed, last

    def _attempted(self) -> Iterator[str]:
        for run in self.last_runs:
            if not passing(run):
                n = f", {run.failed} failed" if run.failed is not None else ""
                when = "" if run.step >= self.last_edit else ", before the last edit"
                code = f"returned {run.returncode}{n}{when}"
                yield f"`{self._line(run.command)}` last {code} (step {run.step})"

    def _unverified(self, claims: Sequence[str]) -> Iterator[str]:
        if self.last_edit >= 0 and not self.current:
            yield f"no captured test run after the last edit (step {self.last_edit})"
        for run in self.last_runs:
            if passing(run) and run.step < self.last_edit:
                yield f"`{self._line(run.command)}` passed at step {run.step}, before the last edit"
        for i, step in self.steps:
            if step.returncode is None and selection(step.action):
                yield f"`{self._line(step.action)}` at step {i} has no captured return code"
        if not any(passing(run) for run in self.current) or not all(map(passing, self.current)):
            unsupported = [f"without captured support: {claim}" for claim in claims if is_claim(claim)]
            yield from self._few(unsupported)

    def _final_state(self) -> str:
        good = sum(map(passing, self.current))
        edit = f"last edit at step {self.last_edit}" if self.last_edit >= 0 else "no known edit"
        runs = f"{good} of {len(self.current)} captured test commands pass after it"
        return f"{self.rollout.status}; {_patch_size(self.rollout, self.files)}; {edit}; {runs}"


def approach(steps: _Numbered) -> Iterator[str]:
    """Yield the kinds of action in their order, one line for a row of the same kind."""
    for kind, row in itertools.groupby(steps, key=lambda numbered: _kind(numbered[1])):
        numbers = [i for i, _ in row]
        first, last = numbers[0], numbers[-1]
        yield f"step {first}: {kind}" if first == last else f"steps {first}-{last}: {kind}"


def _kind(step: Step) -> str:
    kind = "edit" if is_edit(step.action) else "test" if selection(step.action) else ""
    kind = kind or ("command" if step.action.strip() else "thought")
    return kind if step.returncode is not None or kind == "thought" else f"{kind} (not captured)"


_ANSWERS_BY_CODE = frozenset(("grep", "rg", "diff", "cmp", "test", "[", "git", "find"))
_READERS = frozenset(
    ("cat", "sed", "head", "tail", "less", "nl", "grep", "rg", "look", "view", "open", "read")
)
_PLACE = re.compile(r"(?:edit|create|write|insert|revert|undo)\s+([\w./-]{1,300})")
_PATH = re.compile(r"[\w./-]*\w\.\w{1,8}(?=:|$)|[\w.-]+(?:/[\w.-]+)+")


def _succeeded(step: Step, run: TestRun | None) -> bool:
    if run is not None:
        return passing(run)
    parts = simple_commands(step.action)
    name = (unwrapped(parts[-1].words) or ("",))[0] if parts else ""
    if step.returncode == 1 and name in _ANSWERS_BY_CODE:
        return True
    shows_files = name in _READERS or name in _ANSWERS_BY_CODE
    return step.returncode == 0 and (shows_files or not has_traceback(step.observation))


def _paths_read(action: str) -> Iterator[str]:
    for part in simple_commands(action):
        words = unwrapped(part.words)
        if words and words[0] in _READERS:
            yield from (match[0] for word in words[1:] if (match := _PATH.match(word)))


def _tests_of(run: TestRun) -> str:
    return "the tests" if run.passed is None else f"all {run.passed} tests"


def _patch_size(rollout: Rollout, files: Sequence[FileDiff]) -> str:
    if not files:
        return "no patch" if rollout.patch is None else "empty patch"
    plus, minus = (sum(len(h.marked(mark)) for f in files for h in f.hunks) for mark in "+-")
    return f"patch changes {len(files)} files (+{plus} -{minus} lines)"


def _unique(items: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(items))
