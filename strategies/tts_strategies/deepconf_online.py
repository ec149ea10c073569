"""DeepConf online: rollouts are cut as soon as they are less sure than most were, and sampling stops early.

Source: Fu, Wang, Tian, Zhao, "Deep Think with Confidence", 2025, arXiv 2508.15260.  16 warm-up traces run in
full; the lowest group confidence that the top eta per cent of them have is the threshold.  A later trace is
cut when a group of its falls below it.  It ends when the most voted answer has 0.95 of all confidence, or
with the budget of traces.

Ours: later rollouts run in waves of `wave` and the share is looked at between waves, so that what is sampled
does not depend on which stream is the faster; warm-up rollouts below the threshold have no vote either; a cut
one is left out.  Agents without log-probabilities have no threshold: then nothing is cut, and heads count.

A rollout that another strategy, or an earlier run, let come to its end is not cut any more: it has no vote,
and counts whole in the cost.  One that was cut is begun anew where a stopped run goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tts.confidence import LOWEST_GROUP
from tts.equivalence import Equivalence, equivalence
from tts.errors import UsageError
from tts.protocols import Scope
from tts.types import Pool, Rollout

from .ballots import by_weight, leading_share
from .deepconf import check_eta, threshold, weights


@dataclass(frozen=True, slots=True)
class DeepConfOnline:
    """Makes up to `n` rollouts, `warmup` of them in full, and ranks them by confidence; in place of the pool.

    The rest run `wave` at a time and are cut once their `signal` is below what the top `eta` per cent of the
    warm-up have.  No further wave starts once the leading answer has the share `consensus` of all confidence.
    `same` says when two outputs are equal, as for a vote.

    Needs: answers, and log-probabilities that stream in (a chat agent with `logprobs`).
    Costs: `warmup` rollouts, and at most n in all, of which those that are cut cost less.
    Use it: as `deepconf`, where rollouts are long and their price counts.
    """

    n: int = 64
    warmup: int = 16
    eta: float = 10.0
    consensus: float = 0.95
    wave: int = 8
    signal: str = LOWEST_GROUP
    same: str | Equivalence | None = None
    name: ClassVar[str] = "deepconf_online"
    needs: ClassVar[frozenset[str]] = frozenset({"agent"})

    def __post_init__(self) -> None:
        check_eta(self.name, self.eta)
        if not 1 <= self.warmup <= self.n or self.wave < 1:
            raise UsageError(
                "deepconf_online takes 1 <= warmup <= n and wave >= 1, "
                f"not warmup={self.warmup}, n={self.n}, wave={self.wave}"
            )
        if not 0 < self.consensus <= 1:
            raise UsageError(f"deepconf_online's consensus is above 0 and up to 1, not {self.consensus}")
        if isinstance(self.same, str):
            equivalence(self.same)

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the rollouts that came to their end, ranked; incomplete where some could not be had."""
        made = await scope.sample(self.warmup)
        least = threshold(made, self.signal, self.eta)
        lost, start = self.warmup - len(made), self.warmup
        while start < self.n and not await self._agree(made, least):
            asked = min(self.wave, self.n - start)
            ended, n_cut = await self._wave(start, asked, least, scope)
            made += ended
            lost += asked - len(ended) - n_cut
            start += asked
        found = Pool(tuple(made), incomplete=pool.incomplete or lost > 0)
        return await by_weight(found, weights(made, self.signal, least), self.same, scope)

    async def _agree(self, made: Sequence[Rollout], least: float | None) -> bool:
        share = await leading_share(made, weights(made, self.signal, least), self.same)
        return share >= self.consensus

    async def _wave(self, start: int, n: int, least: float | None, scope: Scope) -> tuple[list[Rollout], int]:
        """Return the rollouts of a wave that came to their end, and how many were cut."""
        cut: set[int] = set()
        async with scope.lanes(n, start=start) as lanes:
            while await lanes.changed():
                for lane in lanes:
                    told = lane.signals.get(self.signal)
                    if least is not None and told is not None and told < least and lane.rollout is None:
                        cut.add(lane.index)
                        lane.stop()
            ended = [lane.rollout for lane in lanes if lane.rollout is not None]
        return ended, len(cut)
