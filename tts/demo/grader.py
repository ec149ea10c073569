"""Grades a repair by tests that no attempt saw, in a fresh clone of the repository."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from tts.demo.dataset import Truth
from tts.demo.harness import Harness, Limits, Report
from tts.errors import Infra, UsageError
from tts.types import FREE, Budget, Grade, Rollout, Task, digest
from tts.workspaces.git import GitWorkspaces, git

LIMITS = Limits(test_seconds=0.5, run_seconds=4)


class HiddenTests:
    """Resolves a rollout when every test of its task's truth passes on its patch.

    Whatever the patch does below `tests/` is left out: those files are the truth's own.
    """

    bound: ClassVar[Budget] = FREE
    version: ClassVar[str] = "1"

    def __init__(self, truths: Mapping[str, Truth], harness: Harness, workspaces: GitWorkspaces) -> None:
        self._truths, self._harness, self._workspaces = truths, harness, workspaces

    @property
    def fingerprint(self) -> str:
        """Version and the content of every truth."""
        told = [[t.instance_id, dict(t.test_files), t.tests] for _, t in sorted(self._truths.items())]
        return f"hidden-tests/{self.version}/{digest(told)[:12]}"

    async def grade(self, task: Task, rollout: Rollout) -> Grade:
        """Return the grade; `score` is 1 when all of the truth's tests pass, else 0.

        Raises:
            UsageError: the task has no truth here.
            Infra: git or the test process failed.
        """
        if task.id not in self._truths:
            raise UsageError(
                f"no hidden tests for task {task.id}; known are {', '.join(sorted(self._truths))}"
            )
        if not (rollout.patch or "").strip():
            return Grade(rollout.key, detail="empty patch")
        truth = self._truths[task.id]
        async with self._workspaces.open(task) as workspace:
            if not await _applied(rollout.patch or "", workspace.path):
                return Grade(rollout.key, detail="the patch does not apply")
            _place(truth.test_files, workspace.path)
            report = await self._harness.run(workspace.path, truth.tests, limits=LIMITS)
        return _grade(rollout.key, truth, report)


def _grade(key: str, truth: Truth, report: Report) -> Grade:
    ended = {outcome.id: outcome for outcome in report.outcomes}
    failed = [test for test in truth.tests if test not in ended or not ended[test].passed]
    detail = (
        f"{len(failed)} of {len(truth.tests)} tests fail: {', '.join(failed[:5])}"
        if failed
        else "all tests pass"
    )
    return Grade(key, resolved=not failed, score=float(not failed), detail=detail)


async def _applied(patch: str, place: Path) -> bool:
    """Apply the patch without what it does to `tests/`; False where git refuses it."""
    with tempfile.NamedTemporaryFile(dir=place.parent, suffix=".patch") as file:
        file.write(patch.encode("utf-8", "surrogateescape"))
        file.flush()
        try:
            await git("apply", "--whitespace=nowarn", "--exclude=tests/*", file.name, cwd=place)
        except Infra:
            return False
    return True


def _place(files: Mapping[str, str], place: Path) -> None:
    for name, text in files.items():
        target = place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
