"""The tester: gets tests from whoever writes their kind, and runs them in a sandbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from anyio import to_thread

from tts.agents.several import dearest
from tts.agents.tested import TestCommand
from tts.errors import Unusable
from tts.hostile import cut
from tts.protocols import Author, Workspaces
from tts.sandboxes.box import Sandbox
from tts.suites import WAYS, Execution, Suite, SuiteKind, TestOutcome
from tts.testers.names import outcomes_of
from tts.testers.own import OwnTests
from tts.testers.running import GRACE_SECONDS, KEPT_CHARS, MOST_CASES, run_cases
from tts.testers.writers import Writer
from tts.types import FREE, Budget, Rollout, Summary, Task, digest
from tts.workspaces.patches import Unlanded, put, touched, without
from tts.workspaces.roots import scratch_folder


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxTester:
    """Gets tests and runs them in a sandbox: on a program, or on a repository with a patch.

    `writers` says who writes which kind; what an attempt left itself (`own`) can always be read. `command`
    runs the repository's own tests, for the kind `regression`; whatever of a patch it takes for tests is left
    out of the patch when tests are run. A test has `seconds`, runs by `python` (as named inside the sandbox)
    and has a `network` only where that is wanted.
    """

    sandbox: Sandbox
    writers: Mapping[SuiteKind, Writer] = field(default_factory=dict[SuiteKind, Writer])
    workspaces: Workspaces | None = None
    command: TestCommand | None = None
    python: str = "python3"
    seconds: float = 30.0
    network: bool = False

    @property
    def kinds(self) -> frozenset[SuiteKind]:
        """The kinds of tests that can be had here; what an attempt left itself always can."""
        regression: tuple[SuiteKind, ...] = ("regression",) if self.command else ()
        return frozenset({"own", *self.writers, *regression})

    @property
    def fingerprint(self) -> str:
        """Who writes, and where and how tests run."""
        command = self.command.fingerprint if self.command else ""
        told = {kind: writer.fingerprint for kind, writer in self.writers.items()}
        how = [self.sandbox.fingerprint, self.python, self.seconds, self.network]
        return f"tester/1 {digest([told, command, how])[:12]}"

    def bound_for(self, task: Task, read: Sequence[Any]) -> Budget:
        """Return the most that running a suite, or getting one from whoever is dearest, can cost."""
        if read and isinstance(read[0], Suite):
            own = self.command.seconds if self.command and read[0].kind == "regression" else 0.0
            seconds = own or GRACE_SECONDS + (self.seconds + 1) * min(MOST_CASES, len(read[0].cases))
            return replace(FREE, seconds=seconds)
        if read and isinstance(read[0], Summary):
            return FREE
        rollouts = [one for one in read if isinstance(one, Rollout)]
        most = dearest([FREE, *(w.bound_for(task, rollouts) for w in self.writers.values())])
        return replace(most, rollouts=0)

    async def ready(self) -> None:
        """Check that whoever writes can."""
        for writer in self.writers.values():
            ready = getattr(writer, "ready", None)
            if ready is not None:
                await ready()

    async def write(
        self, task: Task, kind: SuiteKind, authors: Sequence[Author], *, n: int = 1, start: int = 0
    ) -> list[Suite]:
        """Return n suites of a kind.

        Raises:
            Unusable: nobody here writes this kind.
        """
        if kind == "own":
            return await OwnTests().write(task, kind, authors, n=n)
        if kind == "regression" and self.command is not None:
            return [Suite()] * n
        if kind not in self.writers:
            raise Unusable(f"tests of the kind {kind!r} need {WAYS[kind]}, and the tester has none")
        return await self.writers[kind].write(task, kind, authors, n=n, start=start)

    async def execute(self, task: Task, suite: Suite, rollout: Rollout | None) -> Execution:
        """Return what the suite comes to on a rollout's output, or before any change.

        Raises:
            Infra: the sandbox could not be started.
        """
        if not task.repo:
            return await self._on_program(suite, (rollout.output if rollout else "") or "")
        try:
            return await self._on_repository(task, suite, (rollout.patch if rollout else "") or "")
        except Unlanded as error:
            return Execution(status="failed", error=str(error))

    async def _on_program(self, suite: Suite, program: str) -> Execution:
        with scratch_folder("tests") as place:
            folder = place / "testbed"
            folder.mkdir()
            return Execution(outcomes=tuple(await self._cases(folder, suite, program_of(program))))

    async def _on_repository(self, task: Task, suite: Suite, patch: str) -> Execution:
        if self.workspaces is None:
            raise Unusable("tests on a repository need workspaces, and the tester has none")
        patch = await to_thread.run_sync(self._untested, task, patch)
        async with self.workspaces.open(task) as workspace:
            await to_thread.run_sync(put, patch, workspace.path)
            if suite.kind == "regression":
                return Execution(outcomes=tuple(await self._command(workspace.path)))
            return Execution(outcomes=tuple(await self._cases(workspace.path, suite, "")))

    def _untested(self, task: Task, patch: str) -> str:
        """Return the patch without what says how tests run."""
        if self.command is None or not patch.strip():
            return patch
        place = Path(task.repo), task.base_commit
        changes = touched(patch, *place)
        tests = [c.path for c in changes if self.command.is_test(c.path, added=c.kind == "added")]
        return without(patch, *place, tests) if tests else patch

    async def _cases(self, folder: Path, suite: Suite, program: str) -> list[TestOutcome]:
        async with self.sandbox.open(folder) as box:
            return await run_cases(
                box,
                suite.cases,
                program=program,
                python=self.python,
                seconds=self.seconds,
                network=self.network,
            )

    async def _command(self, folder: Path) -> list[TestOutcome]:
        if self.command is None:
            raise Unusable(f"regression tests need {WAYS['regression']}, and the tester has none")
        ran = await self.command.run(folder)
        if ran.ended != "exited":
            return [
                TestOutcome("all", "timeout" if ran.ended == "timeout" else "error", f"stopped: {ran.ended}")
            ]
        outcomes = outcomes_of(self.command.command, ran.output, ran.returncode)
        return [replace(outcomes[0], output=cut(ran.output, KEPT_CHARS)), *outcomes[1:]]


def program_of(output: str) -> str:
    """Return the program of an answer: its last fenced code block, or all of it where there is none."""
    from tts.testers.writers import blocks

    return next(reversed([*blocks(output)]), output)
