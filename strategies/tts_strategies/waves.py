"""Rollouts in waves, until a rule says that they are enough."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from tts.protocols import Scope
from tts.types import Pool, Rollout

Rule = Callable[[Sequence[Rollout], Sequence[Rollout]], Awaitable[bool]]
"""Says of all the rollouts so far, and of those of the last wave, whether they are enough."""


async def until(rule: Rule, scope: Scope, *, cap: int, wave: int) -> Pool:
    """Return the rollouts 0, 1, … made `wave` at a time until `rule` holds or `cap` were asked for.

    It is incomplete where a rollout was refused or failed by the machine; a wave without any is the last.
    """
    rollouts: list[Rollout] = []
    for start in range(0, cap, wave):
        asked = min(wave, cap - start)
        last = await scope.sample(asked, start=start)
        rollouts += last
        if not last or await rule(rollouts, last):
            return Pool(tuple(rollouts), incomplete=len(rollouts) < start + asked)
    return Pool(tuple(rollouts), incomplete=len(rollouts) < cap)
