"""Grades by the user's own function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from tts.agents.function import call, fingerprint_of
from tts.types import Grade, Rollout, Task

Score: TypeAlias = bool | float | Grade


@dataclass(frozen=True)
class FunctionGrader:
    """Grades with `function(task, rollout)`, sync or async: a bool, a score in [0, 1], or a Grade.

    Equal outputs of a task are graded once, so the function should look at the output and nothing else.
    """

    function: Callable[[Task, Rollout], Score | Awaitable[Score]]
    version: str = ""

    @property
    def fingerprint(self) -> str:
        """Identity for keys: the function's name, and its version or source."""
        return fingerprint_of(self.function, self.version)

    async def grade(self, task: Task, rollout: Rollout) -> Grade:
        """Return what the function returns, as a Grade.

        Raises:
            ValueError: the score is not in [0, 1].
        """
        score = await call(self.function, task, rollout)
        if isinstance(score, Grade):
            return score
        if not 0 <= score <= 1:
            raise ValueError(f"a grader returns a bool, a score in [0, 1] or a Grade, not {score!r}")
        return Grade(resolved=score == 1, score=float(score))
