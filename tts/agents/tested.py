"""An agent whose attempts are checked by the repository's own tests, run by the harness where it has ended.

The tests run in fresh clones with the attempt's patch, never in its workspace: once as the attempt left them
where it changed tests, and, as the last word, with the tests as they were at the base.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, ClassVar

import anyio
from anyio import to_thread

from tts.agents.guarded import decides
from tts.errors import LimitReached
from tts.hostile import cut
from tts.protocols import Agent, Attempt, Workspace, Workspaces, bound_of
from tts.sandboxes.box import Order, Ran, Sandbox
from tts.summarizers.runs import HARNESS_RUNS, harness_run, passing
from tts.types import Budget, Rollout, Step, Task, digest
from tts.workspaces.handed import handed_in
from tts.workspaces.patches import Unlanded, put, touched, without

SECONDS = 600.0
"""How long one run of the tests may take by default."""

OUTPUT_CHARS = 100_000

OWN = "# with the attempt's own tests"
"""Stands behind the command where the tests ran as the attempt left them, so that both runs count."""

SAID = {
    "timeout": "stopped after {seconds:g} seconds",
    "memory": "stopped: out of memory",
    "processes": "stopped: too many processes",
    "size": "stopped: wrote too much",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TestCommand:
    """A command that runs the repository's tests, and where.

    `files` are patterns of the files that are tests, as in `spec/*` (`*` stands for slashes too); without any
    they go by their names: tests, the settings of the tools that run them, and the files that the command
    names. `seconds` limits one run.
    """

    __test__: ClassVar[bool] = False  # pytest would take the name for a test class

    command: str
    sandbox: Sandbox
    network: bool = False
    seconds: float = SECONDS
    files: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """The command and what surrounds it."""
        told = [self.command, self.network, self.seconds, self.files, self.sandbox.fingerprint]
        return f"tests/1 {digest(told)[:12]}"

    def is_test(self, path: str, *, added: bool = False) -> bool:
        """Return whether a file, new or not, is a test, or says how tests run."""
        if self.files:
            return any(fnmatch(path, pattern) for pattern in self.files)
        return decides(path, self.command, added=added)

    async def run(self, workspace: Path) -> Ran:
        """Return what the command came to in a workspace.

        Raises:
            Infra: the sandbox could not be started.
        """
        async with self.sandbox.open(workspace) as box:
            order = Order(("sh", "-c", self.command), seconds=self.seconds, network=self.network)
            return await box.run(order)


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """Workspaces that can be found by their path while they are open."""

    inner: Workspaces
    opened: dict[Path, Workspace] = field(default_factory=dict[Path, Workspace])

    @asynccontextmanager
    async def open(self, task: Task) -> AsyncGenerator[Workspace]:
        """Yield a workspace, listed while it is open."""
        async with self.inner.open(task) as workspace:
            self.opened[workspace.path] = workspace
            try:
                yield workspace
            finally:
                del self.opened[workspace.path]


@dataclass(frozen=True, slots=True, eq=False)
class Tested:
    """An agent whose attempts end with runs of the repository's tests, as steps that the harness captured.

    The rollout's signals tell `tests_pass` (1 or 0, of the last word) and, where the output counts them,
    `tests_passed` and `tests_failed`.
    """

    __test__: ClassVar[bool] = False

    agent: Agent
    tests: TestCommand
    workspaces: Watched
    bases: dict[str, Step] = field(default_factory=dict[str, Step])
    lock: anyio.Lock = field(default_factory=anyio.Lock)

    @property
    def fingerprint(self) -> str:
        """The agent's, and that of the tests."""
        return f"{self.agent.fingerprint} + {self.tests.fingerprint}"

    @property
    def bound(self) -> Budget:
        """The agent's, with the time of the tests: at the base, as the attempt left them, as they were."""
        own = bound_of(self.agent)
        return replace(own, seconds=None if own.seconds is None else own.seconds + 3 * self.tests.seconds)

    async def run(self, task: Task, attempt: Attempt) -> Rollout:
        """Return the agent's rollout, after its patch was tested."""
        try:
            rollout = await self.agent.run(task, attempt)
        except LimitReached as error:  # what it did until then is tested all the same
            rollout = Rollout(status="limit", error=str(error))
        own = {name: value for name, value in rollout.signals.items() if name != HARNESS_RUNS}
        workspace = self.workspaces.opened.get(attempt.workspace) if attempt.workspace else None
        rollout = await handed_in(rollout, workspace) if workspace is not None else rollout
        patch = rollout.patch or ""
        if not patch.strip():
            return replace(rollout, signals=own)
        try:
            steps = await self.steps(task, patch)
        except Unlanded as error:
            told = rollout.error or f"the tests were not run: {error}"
            return replace(rollout, signals=own, error=told)
        for step in steps:
            with suppress(LimitReached):  # a step that costs nothing cannot pass a limit
                attempt.record(step)
        return replace(rollout, signals={**own, **_signals(steps)})

    async def steps(self, task: Task, patch: str) -> list[Step]:
        """Return the runs: at the base, with all of the patch where it changes tests, and without its tests.

        Raises:
            Unlanded: the patch does not fit its base.
        """
        base = await self._at_base(task)
        place = Path(task.repo), task.base_commit
        changes = await to_thread.run_sync(touched, patch, *place)
        tests = [c.path for c in changes if self.tests.is_test(c.path, added=c.kind == "added")]
        rest = await to_thread.run_sync(without, patch, *place, tests) if tests else patch
        last = _unless_fewer(base, await self._with(task, rest, "as they were at the base"))
        if not tests:
            return [base, last]
        whole = await self._with(task, patch, "as the attempt left them")
        return [base, replace(whole, action=f"{whole.action} {OWN}"), last]

    async def _at_base(self, task: Task) -> Step:
        async with self.lock:
            if task.digest not in self.bases:
                self.bases[task.digest] = await self._with(task, "", "before any change")
            return self.bases[task.digest]

    async def _with(self, task: Task, patch: str, said: str) -> Step:
        async with self.workspaces.inner.open(task) as workspace:
            await to_thread.run_sync(put, patch, workspace.path)
            ran = await self.tests.run(workspace.path)
        told = SAID[ran.ended].format(seconds=self.tests.seconds) if ran.ended != "exited" else ""
        return Step(
            thought=f"The harness runs the repository's tests, {said}.",
            action=self.tests.command,
            observation="\n".join(filter(None, (cut(ran.output, OUTPUT_CHARS), told))),
            returncode=ran.returncode if ran.ended == "exited" or ran.returncode else 124,
            seconds=ran.seconds,
        )

    def __getattr__(self, name: str) -> Any:
        """Return the agent's own `bound_for` or `ready`, where it has one."""
        if name in ("bound_for", "ready", "named", "templates"):
            return getattr(self.agent, name)
        raise AttributeError(name)


def _unless_fewer(base: Step, last: Step) -> Step:
    """Return the last word, failed where it counts fewer tests than ran before any change."""
    before, after = (harness_run(0, step) for step in (base, last))
    there = (before.passed or 0) + (before.failed or 0)
    ran = (after.passed or 0) + (after.failed or 0)
    if ran >= there or last.returncode:
        return last
    told = f"fewer tests ran than before any change: {ran} of {there}"
    return replace(last, observation=f"{last.observation}\n{told}", returncode=1)


def _signals(steps: Sequence[Step]) -> dict[str, float]:
    last = harness_run(0, steps[-1])
    known = {"tests_passed": last.passed, "tests_failed": last.failed}
    found = {HARNESS_RUNS: float(len(steps)), "tests_pass": float(passing(last))}
    return found | {name: float(n) for name, n in known.items() if n is not None}
