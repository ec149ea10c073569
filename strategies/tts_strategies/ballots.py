"""What the votes share: classes of equal outputs, and their order by the weight of those who are in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import fsum, isfinite

import anyio.to_thread

from tts.equivalence import Canonical, Equivalence, classes, equivalence
from tts.protocols import Scope
from tts.types import Pool, Rollout

SHORT = 20_000
"""Characters of all outputs together that are compared at once, where that goes by a canonical form."""


def ballots(rollouts: Sequence[Rollout], same: str | Equivalence | None) -> list[list[Rollout]]:
    """Return the rollouts in classes of equal outputs, classes and their members in the order of the keys.

    Rollouts without an output abstain and are in none.  `same` None takes `patch` where one has a patch, and
    `text` else.
    """
    same = same or ("patch" if any(r.patch is not None for r in rollouts) else "text")
    ordered = sorted(rollouts, key=lambda r: r.key)
    groups: dict[int, list[Rollout]] = {}
    for rollout, number in zip(ordered, classes([r.output for r in ordered], same), strict=True):
        if number is not None:
            groups.setdefault(number, []).append(rollout)
    return list(groups.values())


async def counted(rollouts: Sequence[Rollout], same: str | Equivalence | None) -> list[list[Rollout]]:
    """Return the classes as `ballots` does, worked out beside the event loop where it may take long."""
    form = equivalence(same) if isinstance(same, str) else same
    short = sum(len(r.output or "") for r in rollouts) <= SHORT
    if short and (form is None or isinstance(form, Canonical)):
        return ballots(rollouts, same)
    return await anyio.to_thread.run_sync(partial(ballots, rollouts, same))


async def by_weight(
    pool: Pool, weights: Mapping[str, float], same: str | Equivalence | None, scope: Scope
) -> Pool:
    """Return the pool's rollouts, those of the heaviest class of equal outputs first.

    `weights` holds what a rollout weighs, by key; who is not in it weighs nothing.  Equal classes go by
    seeded lot; inside a class the heavier comes first, then the older.  Who has no output comes last.
    """
    groups = await counted(pool.rollouts, same)
    lot = scope.rng("vote").sample(range(len(groups)), len(groups))
    place = [(-fsum(weights.get(r.key, 0.0) for r in group), n) for group, n in zip(groups, lot, strict=True)]
    ranked = [group for _, group in sorted(zip(place, groups, strict=True), key=lambda placed: placed[0])]

    def within(rollout: Rollout) -> tuple[float, int, int, str]:
        return -weights.get(rollout.key, 0.0), rollout.iteration, rollout.index, rollout.key

    voters = [r for group in ranked for r in sorted(group, key=within)]
    silent = sorted((r for r in pool if not (r.output or "").strip()), key=within)
    return replace(pool, rollouts=(*voters, *silent), ranked=True)


async def leading_share(
    rollouts: Sequence[Rollout], weights: Mapping[str, float], same: str | Equivalence | None
) -> float:
    """Return the heaviest class's share of all weight, 0 to 1; 0 where nothing weighs anything."""
    groups = await counted(rollouts, same)
    heavy = [fsum(weights.get(r.key, 0.0) for r in group) for group in groups]
    return max(heavy) / fsum(heavy) if any(heavy) else 0.0


def signal_of(rollout: Rollout, name: str) -> float | None:
    """Return a signal of a rollout; None where it has none, or one that is no finite number."""
    value = rollout.signals.get(name)
    return value if value is not None and isfinite(value) else None
