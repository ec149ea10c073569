"""A panel: judges see a whole group and vote until one candidate has the majority.

Source: the selector of Trae Agent: Gao et al., "Trae Agent: An LLM-based Agent for Software Engineering with
Test-time Scaling", 2025, arXiv 2507.23370.  After the regression filter, equal patches are one; in groups, a
selector is asked again and again which is right, until one has the majority; the winners of the groups meet.

Ours: the size of the groups, the most votes and their order: as many votes as make a majority are asked at
the same time, then one after another.  Without a majority the leader goes on, of equal ones by seeded lot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import ClassVar

from tts.equivalence import equivalence
from tts.errors import UsageError
from tts.pipeline import gather
from tts.protocols import Scope
from tts.types import Pool, Rollout, Tally

from .entrants import entrants


@dataclass(frozen=True, slots=True)
class Panel:
    """Takes the winner of groups of `group`, each chosen by a majority of at most `votes` votes.

    `merge` names the equivalence under which outputs enter once.  Who has no output stays out unless nobody
    has one.

    Needs: a judge and summaries.
    Costs: between a majority of `votes` and all of them, for each group; one round more for each power of it.
    Use it: where the judge can read several candidates at once, and votes mostly agree.
    """

    group: int = 5
    votes: int = 5
    merge: str | None = "patch"
    needs: ClassVar[frozenset[str]] = frozenset({"judge", "summarizer"})

    def __post_init__(self) -> None:
        if self.group < 2 or self.votes < 1:
            raise UsageError(f"panel takes group >= 2 and votes >= 1, not {self.group} and {self.votes}")
        if self.merge is not None:
            equivalence(self.merge)

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the winner; incomplete where a vote was refused."""
        left = [equal[0] for equal in entrants(pool.rollouts, self.merge)]
        left = left or sorted(pool, key=lambda r: r.key)[:1]
        whole = True
        while len(left) > 1:
            scope.rng("groups", f"{len(left)}").shuffle(left)
            n_groups = ceil(len(left) / self.group)
            groups = [left[i::n_groups] for i in range(n_groups)]
            met = await gather(*(self._winner(group, scope) for group in groups))
            left = sorted((winner for winner, _ in met), key=lambda r: r.key)
            whole = whole and all(had for _, had in met)
        return replace(pool, rollouts=tuple(left), ranked=True, incomplete=pool.incomplete or not whole)

    async def _winner(self, group: Sequence[Rollout], scope: Scope) -> tuple[Rollout, bool]:
        """Return a group's winner, and whether every vote that was asked for was had."""
        if len(group) == 1:
            return group[0], True
        asked = self.votes // 2 + 1
        (tally,) = await scope.compare([group], votes=asked)
        while len(tally.verdicts) == asked < self.votes and not self._settled(tally):
            asked += 1
            (tally,) = await scope.compare([group], votes=asked)
        leaders = sorted((r for r in group if r.key in tally.leaders), key=lambda r: r.key)
        return scope.rng("tie", *tally.group).choice(leaders), len(tally.verdicts) == asked

    def _settled(self, tally: Tally) -> bool:
        return 2 * max(tally.votes.values()) > self.votes
