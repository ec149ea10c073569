"""What the rankings by comparison share: who enters, what a tally is worth, and how worth becomes a pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from tts.equivalence import equivalence
from tts.errors import UsageError
from tts.protocols import Scope
from tts.types import Pool, Rollout, Tally

from .entrants import entrants

Pair = tuple[int, int]
"""Two players by number, as they stand in the list of players."""


def check(stage: str, merge: str | None, **counts: int) -> None:
    """Check the parameters that contests share.

    Raises:
        UsageError: a count is below 1, or `merge` names no equivalence.
    """
    if min(counts.values()) < 1:
        told = ", ".join(f"{name}={n}" for name, n in counts.items())
        raise UsageError(f"{stage} takes whole numbers of 1 or more, not {told}")
    if merge is not None:
        equivalence(merge)


def players(pool: Pool, merge: str | None) -> list[Rollout]:
    """Return one rollout for each distinct output, in the order of the keys; none where none has any."""
    return [equal[0] for equal in entrants(pool.rollouts, merge)]


def all_pairs(n: int) -> list[Pair]:
    """Return the n (n - 1) / 2 pairs of n players."""
    return list(combinations(range(n), 2))


def shares(tally: Tally) -> dict[str, float]:
    """Return the share of the votes that each of a group won; abstentions are split evenly."""
    votes, n = tally.votes, max(len(tally.verdicts), 1)
    silent = (n - sum(votes.values())) / len(votes)
    return {key: (won + silent) / n for key, won in votes.items()}


def had_all(tallies: Sequence[Tally], votes: int) -> bool:
    """Return whether no vote was refused."""
    return all(len(tally.verdicts) >= votes for tally in tallies)


def ranked(
    pool: Pool,
    entered: Sequence[Rollout],
    worth: Mapping[str, tuple[float, ...]],
    scope: Scope,
    *,
    keep: int,
    whole: bool = True,
) -> Pool:
    """Return the `keep` players of the largest worth, best first; equals by seeded lot.

    Where nobody entered, as many rollouts go on as they come by key.
    """
    order = list(entered) or sorted(pool, key=lambda rollout: rollout.key)
    if entered:
        scope.rng("equals").shuffle(order)
        order.sort(key=lambda rollout: worth[rollout.key], reverse=True)
    incomplete = pool.incomplete or not whole
    return replace(pool, rollouts=tuple(order[:keep]), ranked=True, incomplete=incomplete)
