"""Recursive Tournament Voting: a tournament of groups, each decided by the plurality of several judge calls.

Source: "Scaling Test-Time Compute for Agentic Coding", 2026, arXiv 2604.16529: rounds of groups of G,
V votes each, until K survivors are left.  The paper leaves pairing, display order, ties, byes and invalid
votes open; here they are parameters and rules:

- pairing is a seeded shuffle of the round's entrants;
- over the votes each candidate of a group stands first equally often;
- a tie goes to more rounds of votes, up to a cap, then to the better record in earlier rounds, then to
  the seed;
- a candidate left over goes on without a match (a bye);
- a vote that cannot be read abstains; when all abstain the tie rule decides;
- identical outputs enter once; where no rollout has an output, K go on unjudged.

A round has as many groups as it needs and sizes that differ by one at most, so a tournament to K survivors
ends at exactly K.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import ClassVar

from tts.equivalence import equivalence
from tts.errors import UsageError
from tts.protocols import Scope
from tts.types import Pool, Rollout, Tally

from .entrants import entrants


@dataclass(frozen=True, slots=True)
class RTV:
    """Keeps the `keep` best rollouts (K) of a tournament.

    `group` (G) candidates meet at a time with `votes` (V) judge calls; a tie gets `tie_votes` more, at
    most `tie_rounds` times.  `merge` names the equivalence under which outputs enter once; None lets each
    rollout enter.  Rollouts without an output stay out unless there are no others.

    Needs: a judge and summaries.
    Costs: about V (N - K) / (G - 1) judge calls, in one round for each power of G, and more where votes tie.
    Use it: where outputs cannot be compared, such as patches, and judge calls are cheap beside rollouts.
    """

    keep: int = 1
    group: int = 2
    votes: int = 8
    tie_votes: int = 2
    tie_rounds: int = 2
    merge: str | None = "exact"
    needs: ClassVar[frozenset[str]] = frozenset({"judge", "summarizer"})

    def __post_init__(self) -> None:
        if self.keep < 1 or self.group < 2 or self.votes < 1:
            raise UsageError(
                "rtv takes keep >= 1, group >= 2 and votes >= 1, "
                f"not keep={self.keep}, group={self.group}, votes={self.votes}"
            )
        if self.tie_votes < 0 or self.tie_rounds < 0:
            raise UsageError(
                "rtv takes tie_votes >= 0 and tie_rounds >= 0, "
                f"not tie_votes={self.tie_votes}, tie_rounds={self.tie_rounds}"
            )
        if self.merge is not None:
            equivalence(self.merge)

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the survivors, best first: by rounds won, then by votes won, then by the draw."""
        entered = [equal[0] for equal in entrants(pool.rollouts, self.merge)]
        left = entered or sorted(pool, key=lambda r: r.key)[: self.keep]
        record = {rollout.key: (0, 0) for rollout in left}
        round_ = 0
        while len(left) > self.keep:
            round_ += 1
            groups = self._groups(left, scope, round_)
            left = await self._round(groups, record, scope)
        ranked = sorted(left, key=lambda rollout: record[rollout.key], reverse=True)
        return replace(pool, rollouts=tuple(ranked), ranked=True)

    def _groups(self, left: Sequence[Rollout], scope: Scope, round_: int) -> list[list[Rollout]]:
        """Return the round's groups; one of a single rollout is a bye."""
        order = sorted(left, key=lambda r: r.key)
        scope.rng("pairing", f"round-{round_}").shuffle(order)
        n_groups = max(ceil(len(order) / self.group), self.keep)
        return [order[i::n_groups] for i in range(n_groups)]

    async def _round(
        self, groups: Sequence[list[Rollout]], record: dict[str, tuple[int, int]], scope: Scope
    ) -> list[Rollout]:
        meeting = [group for group in groups if len(group) > 1]
        tallies = await self._voted(meeting, scope)
        winners = [group[0] for group in groups if len(group) == 1]
        for group, tally in zip(meeting, tallies, strict=True):
            winner = self._winner(group, tally, record, scope)
            won, votes = record[winner.key]
            record[winner.key] = (won + 1, votes + tally.votes[winner.key])
            winners.append(winner)
        return winners

    async def _voted(self, groups: Sequence[list[Rollout]], scope: Scope) -> list[Tally]:
        """Return the tallies; groups that stand at a tie are voted on again, together."""
        tallies = await scope.compare(groups, votes=self.votes)
        for extra in range(1, self.tie_rounds + 1):
            tied = [i for i, tally in enumerate(tallies) if len(tally.leaders) > 1]
            if not tied:
                break
            votes = self.votes + extra * self.tie_votes
            again = await scope.compare([groups[i] for i in tied], votes=votes)
            for i, tally in zip(tied, again, strict=True):
                tallies[i] = tally
        return tallies

    def _winner(
        self, group: Sequence[Rollout], tally: Tally, record: dict[str, tuple[int, int]], scope: Scope
    ) -> Rollout:
        leaders = sorted((r for r in group if r.key in tally.leaders), key=lambda r: r.key)
        best = max(record[r.key] for r in leaders)
        return scope.rng("tie", *tally.group).choice([r for r in leaders if record[r.key] == best])
