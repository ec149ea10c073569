"""An agent that repairs Python by search: it localizes, edits, tests, and keeps what helps."""

from __future__ import annotations

import ast
import time
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from random import Random
from typing import ClassVar

from tts.demo.edits import apply, candidates
from tts.demo.harness import Harness, Report
from tts.demo.localize import Line, named_in, ochiai
from tts.demo.operators import OPERATORS
from tts.demo.priors import EDIT, JOINT, REVERT, TEST, Trial, failure, progress, trials
from tts.demo.search import HABITS, Edits, Habits, Search, texts_of
from tts.errors import UsageError
from tts.protocols import Attempt
from tts.types import Budget, Rollout, Step, Task, digest

ISSUE_FILE = "tests/test_issue.py"
SHOWN_CHARS = 3000
"""How much of a file a look at it records."""


class RepairAgent:
    """Attempts a repair per seed, in a workspace whose tests lie in `tests`, the issue's in `ISSUE_FILE`."""

    version: ClassVar[str] = "1"
    bound: ClassVar[Budget] = Budget(usd=0.0, tokens=0, seconds=120.0, rollouts=1)

    def __init__(self, harness: Harness, habits: Habits = HABITS) -> None:
        self._harness = harness
        self._habits = habits

    @property
    def fingerprint(self) -> str:
        """Name, version, operators and habits."""
        operators = [(operator.__name__, weight) for operator, weight in OPERATORS]
        return f"repair/{self.version}/{digest([operators, list(astuple(self._habits))])[:12]}"

    async def run(self, task: Task, attempt: Attempt) -> Rollout:
        """Return the rollout; its repair is left in the workspace.

        Raises:
            UsageError: the task has no repository to work in.
        """
        if attempt.workspace is None:
            raise UsageError(f"the repair agent needs a workspace; task {task.id} names no repository")
        return await Repair(self._harness, self._habits, task, attempt).rollout()


class Repair:
    """One attempt: what it does goes through here, and each action becomes a step."""

    def __init__(self, harness: Harness, habits: Habits, task: Task, attempt: Attempt) -> None:
        assert attempt.workspace is not None
        self._harness, self._habits, self._task, self._attempt = harness, habits, task, attempt
        self._workspace = attempt.workspace
        self._rng = Random(attempt.seed)
        self._refined = bool(attempt.priors)
        self._careful = self._refined or self._rng.random() < habits.careful
        self._sources = read_sources(self._workspace)
        self._touched: set[str] = set()
        self._current: Edits = ()
        self._n_steps = 0
        self._n_trials = 0
        self._share = 0.0

    async def rollout(self) -> Rollout:
        """Look, try until something passes or the trials are used up, and hand in the best."""
        search = await self._look()
        for trial in trials(self._attempt.priors, ISSUE_FILE):
            search.learn(trial)
        for left_by_priors in search.unverified()[:3]:
            await self._verify(
                search, left_by_priors, "An earlier attempt left this; check it against all tests."
            )
        left = self._habits.n_trials
        while self._n_trials < left and not self._settled(search) and (edits := search.draw()):
            await self._try(search, edits)
            if self._refined and search.verified():
                left = min(left, self._n_trials + self._habits.n_more)
        return await self._hand_in(search)

    def _settled(self, search: Search) -> bool:
        if self._refined:
            return False
        return bool(search.verified() if self._careful else search.unverified())

    async def _look(self) -> Search:
        """Run everything with coverage and read the most suspicious file."""
        report = await self._test("tests", "Reproduce the issue and see which lines run.", coverage=True)
        suspicion = ochiai(report)
        start = _trial((), report.log(), report)
        edits = [edit for file, source in self._sources.items() for edit in candidates(file, source)]
        search = Search(edits, self._sources, start, self._habits, self._rng)
        search.weigh(suspicion, lines_of(named_in(self._task.prompt), self._sources))
        if suspicion:
            (file, line), _ = max(suspicion.items(), key=lambda item: (item[1], item[0][0], -item[0][1]))
            text = self._sources.get(file, b"").decode(errors="replace")[:SHOWN_CHARS]
            self._record(f"Line {line} of {file} runs mostly in failing tests.", f"cat {file}", text, 0)
        return search

    async def _try(self, search: Search, edits: Edits) -> None:
        self._n_trials += 1
        self._edit(edits, "Build on what helped." if len(edits) > 1 else "Suspicious place; try a variant.")
        report = await self._test(ISSUE_FILE, "Does the issue's test get further?")
        search.learn(_trial(texts_of(edits), report.log(), report))
        if report.passed and self._careful:
            await self._verify(search, edits, "The issue's test passes; does anything else break?")

    async def _verify(self, search: Search, edits: Edits, thought: str) -> None:
        if edits != self._current:
            self._n_trials += 1
            self._edit(edits, thought)
        report = await self._test("tests", thought)
        search.learn(Trial(texts_of(edits), issue_passed=_issue_passed(report), suite_passed=report.passed))

    async def _hand_in(self, search: Search) -> Rollout:
        choice = search.choice()
        edits = search.edits_of(choice.texts) or ()
        if edits != self._current:
            self._edit(edits, "This has the best evidence so far." if edits else "Nothing helped; leave it.")
            if edits:
                await self._test("tests" if self._careful else ISSUE_FILE, "Confirm what is handed in.")
        what = f"Changed {JOINT.join(choice.texts)}" if edits else "Found no repair"
        known = "all visible tests pass" if choice.suite_passed else "the issue's test passes"
        return Rollout(
            status="finished" if choice.issue_passed else "limit",
            answer=f"{what}; {known if choice.issue_passed else 'the issue is not solved'}.",
            length=float(self._n_steps),
            signals={"visible_passed": self._share},
        )

    def _edit(self, edits: Edits, thought: str) -> None:
        """Bring the files to the base with these edits."""
        for file in sorted(self._touched | {edit.file for edit in edits}):
            mine = [edit for edit in edits if edit.file == file]
            (self._workspace / file).write_bytes(apply(self._sources[file], mine))
        self._touched = {edit.file for edit in edits}
        self._current = edits
        self._record(thought, EDIT + JOINT.join(texts_of(edits)) if edits else REVERT, "", 0)

    async def _test(self, target: str, thought: str, *, coverage: bool = False) -> Report:
        started, at = time.monotonic(), time.time()
        files = [target] if target.endswith(".py") else test_files(self._workspace)
        report = await self._harness.run(self._workspace, files, coverage=coverage)
        self._share = report.n_passed / max(1, len(report.outcomes))
        self._record(thought, TEST + target, report.log(), 0 if report.passed else 1, started=started, at=at)
        return report

    def _record(
        self,
        thought: str,
        action: str,
        observation: str,
        returncode: int,
        *,
        started: float = 0.0,
        at: float = 0.0,
    ) -> None:
        seconds = time.monotonic() - started if started else 0.0
        self._n_steps += 1
        self._attempt.record(
            Step(thought, action, observation, returncode, seconds=seconds, at=at or time.time())
        )
        self._attempt.progress(float(self._n_steps))


def _trial(texts: tuple[str, ...], log: str, report: Report) -> Trial:
    return Trial(texts, progress(log, ISSUE_FILE), failure(log, ISSUE_FILE), _issue_passed(report))


def _issue_passed(report: Report) -> bool:
    mine = [outcome.passed for outcome in report.outcomes if outcome.id.startswith(ISSUE_FILE)]
    return bool(mine) and all(mine)


def read_sources(workspace: Path) -> dict[str, bytes]:
    """Return the Python files outside `tests` by relative name, in order."""
    paths = sorted(path.relative_to(workspace) for path in workspace.rglob("*.py"))
    return {path.as_posix(): (workspace / path).read_bytes() for path in paths if path.parts[0] != "tests"}


def test_files(workspace: Path) -> list[str]:
    """Return the visible test files by relative name, in order."""
    return sorted(path.relative_to(workspace).as_posix() for path in workspace.glob("tests/test_*.py"))


def lines_of(names: set[str], sources: Mapping[str, bytes]) -> set[Line]:
    """Return the lines of the functions and methods with one of these names."""
    trees = ((file, ast.parse(source)) for file, source in sources.items() if candidates(file, source))
    functions = ((file, n) for file, tree in trees for n in ast.walk(tree) if isinstance(n, ast.FunctionDef))
    named = ((file, n) for file, n in functions if n.name in names)
    return {(file, line) for file, n in named for line in range(n.lineno, (n.end_lineno or n.lineno) + 1)}
