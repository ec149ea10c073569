"""Early-stopping self-consistency (ESC): sample windows until one agrees with itself.

Source: Li, Yuan, Feng, Pan, Wang, Sun, Wang, Li, "Escape Sky-high Cost: Early-stopping Self-Consistency for
Multi-step Reasoning", 2024, arXiv 2401.10480: windows of w samples, one after another, until all answers of
a window are the same or the cap is reached; then the majority.

Ours: a rollout without an output, or one that could not be had, agrees with nobody.  The stage samples only:
a vote follows it, over all windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from tts.equivalence import Equivalence, equivalence
from tts.errors import UsageError
from tts.protocols import Scope
from tts.types import Pool, Rollout

from .ballots import counted
from .waves import until


@dataclass(frozen=True, slots=True)
class ESC:
    """Makes rollouts in windows of `window` until one agrees, or there are `cap` of them.

    They stand in place of the pool, in the order of their indices.  `same` says when two outputs are equal,
    as for a vote.

    Needs: answers.
    Costs: a window of rollouts where it agrees at once, and `cap` at most; a window runs at the same time.
    Use it: as adaptive consistency, where its turns one after another take too long; a vote follows it.
    """

    window: int = 5
    cap: int = 40
    same: str | Equivalence | None = None
    needs: ClassVar[frozenset[str]] = frozenset({"agent"})

    def __post_init__(self) -> None:
        if not 2 <= self.window <= self.cap:
            raise UsageError(f"esc takes 2 <= window <= cap, not window={self.window} and cap={self.cap}")
        if isinstance(self.same, str):
            equivalence(self.same)

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the rollouts, incomplete where some could not be had."""
        made = await until(self._agree, scope, cap=self.cap, wave=self.window)
        return replace(made, incomplete=made.incomplete or pool.incomplete)

    async def _agree(self, rollouts: Sequence[Rollout], last: Sequence[Rollout]) -> bool:
        groups = await counted(last, self.same)
        return [len(group) for group in groups] == [self.window]
