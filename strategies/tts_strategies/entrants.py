"""Who enters a tournament: one rollout for each distinct output."""

from __future__ import annotations

from collections.abc import Sequence

from tts.equivalence import classes
from tts.types import Rollout


def entrants(rollouts: Sequence[Rollout], merge: str | None) -> list[list[Rollout]]:
    """Return the rollouts in classes of equal outputs, classes and their members in the order of the keys.

    `merge` names the equivalence; None lets each rollout be a class.  Rollouts without an output are left
    out; the list is empty where no rollout has one.
    """
    ordered = sorted(rollouts, key=lambda rollout: rollout.key)
    numbers = classes([rollout.output for rollout in ordered], merge or "exact")
    found: dict[object, list[Rollout]] = {}
    for rollout, number in zip(ordered, numbers, strict=True):
        if number is not None:
            found.setdefault(rollout.key if merge is None else number, []).append(rollout)
    return list(found.values())
