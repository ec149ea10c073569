"""Grades an answer by whether it equals the expected one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import anyio.to_thread

from tts.equivalence import Equivalence, equivalence
from tts.types import Grade, Rollout, Task, digest


@dataclass(frozen=True)
class ExpectedAnswer:
    """Resolved when the output equals `truths[task.id]` under `same`: a name, or a function of two texts.

    Raises:
        UsageError: there is no equivalence of that name, or its extra is not installed.
    """

    truths: Mapping[str, str]
    same: str | Equivalence = "text"

    def __post_init__(self) -> None:
        if isinstance(self.same, str):
            equivalence(self.same)

    @property
    def fingerprint(self) -> str:
        """Identity for keys: the equivalence and a hash of the truths."""
        name = self.same if isinstance(self.same, str) else self.same.__qualname__
        return f"expected:{name}#{self._digest[:12]}"

    @cached_property
    def _digest(self) -> str:
        return digest(dict(self.truths))  # asked on every task, and as long as there are tasks

    async def grade(self, task: Task, rollout: Rollout) -> Grade:
        """Return the grade; a task without an expected answer is a failed grade, not a wrong answer."""
        if task.id not in self.truths:
            return Grade(status="failed", detail=f"no expected answer for {task.id}")
        same = equivalence(self.same) if isinstance(self.same, str) else self.same
        output, truth = rollout.output, self.truths[task.id]
        # Some equivalences take long.
        right = output is not None and await anyio.to_thread.run_sync(same, output, truth)
        return Grade(resolved=right, score=float(right))
