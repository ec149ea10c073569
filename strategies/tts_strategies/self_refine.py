"""Self-Refine: feedback on one's own attempt, a new attempt from it, and again until it will do.

Source: Madaan, Tandon, Gupta, Hallinan, Gao, Wiegreffe, Alon, Dziri, Prabhumoye, Yang, Gupta, Majumder,
Hermann, Welleck, Yazdanbakhsh, Clark, "Self-Refine: Iterative Refinement with Self-Feedback", 2023, arXiv
2303.17651.  One model writes, gives feedback on what it wrote, and rewrites, until the feedback says stop
or about four times.

Departures, as attempts here are rollouts: the feedback is the summary of one's own last attempt; the
rewriting is a fresh rollout that is given it and nothing else.  The stop is a parameter: `judge` stops when
a judge prefers the older attempt to the newer one, and hands in the older; `verified` stops when the
summary has something confirmed by captured output, and nothing contradicted or left open; `never` goes
through all rounds.  Under the last two the newest attempt is handed in, as in the paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from tts.errors import UsageError
from tts.pipeline import gather
from tts.protocols import Scope
from tts.types import Pool, Rollout, Summary

Chains = dict[int, Rollout]
"""The attempt that each chain stands at, by the number of the chain."""


@dataclass(frozen=True, slots=True)
class SelfRefine:
    """Refines each rollout of the pool by itself, for at most `rounds` rounds.

    A chain ends with the older attempt where the newer one has no output.  `stop` says what else ends it
    before: `judge` (with `votes` judge calls on the older and the newer; an equal count goes on),
    `verified` or `never`.

    Needs: summaries, and a judge unless it stops by something else.
    Costs: up to `rounds` rollouts for each of the pool, one after another, and `votes` judge calls on each.
    Use it: where one attempt at a time is all there is, and its own checks tell what is wrong with it.
    """

    rounds: int = 4
    stop: Literal["judge", "verified", "never"] = "judge"
    votes: int = 2
    name: ClassVar[str] = "self_refine"

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.votes < 1:
            raise UsageError(
                "self_refine takes rounds >= 1 and votes >= 1, "
                f"not rounds={self.rounds} and votes={self.votes}"
            )
        if self.stop not in ("judge", "verified", "never"):
            raise UsageError(f"self_refine's stop is 'judge', 'verified' or 'never', not {self.stop!r}")

    @property
    def needs(self) -> frozenset[str]:
        """The roles that it asks."""
        asked = {"agent", "summarizer"}
        return frozenset(asked | {"judge"} if self.stop == "judge" else asked)

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return what each chain ended with, in the order of the pool; incomplete where one was cut short."""
        start = pool.rollouts if pool.ranked else sorted(pool, key=lambda r: (r.iteration, r.index, r.key))
        stand: Chains = dict(enumerate(start))
        going, cut = list(stand), not pool.rollouts
        for _ in range(self.rounds):
            going, told = await self._unverified(going, stand, scope)
            newer = await _refined(told, scope)
            cut = cut or len(newer) < len(going)
            going = await self._better(stand, newer, scope)
            stand |= {i: newer[i] for i in going}
        return Pool(tuple(stand.values()), incomplete=pool.incomplete or cut)

    async def _unverified(
        self, going: Sequence[int], stand: Chains, scope: Scope
    ) -> tuple[list[int], dict[int, Summary]]:
        """Return the chains that go on, and the summaries of where they stand that could be had."""
        summaries = await gather(*(scope.summarize(stand[i]) for i in going))
        told = dict(zip(going, summaries, strict=True))
        on = [i for i in going if self.stop != "verified" or not is_verified(told[i])]
        return on, {i: told[i] for i in on if told[i].key}

    async def _better(self, stand: Chains, newer: Chains, scope: Scope) -> list[int]:
        """Return the chains whose newer attempt has an output and is not found worse."""
        newer = {i: rollout for i, rollout in newer.items() if (rollout.output or "").strip()}
        if self.stop != "judge" or not newer:
            return list(newer)
        pairs = [(stand[i], rollout) for i, rollout in newer.items()]
        tallies = await scope.compare(pairs, votes=self.votes)
        return [
            i
            for (i, rollout), tally in zip(newer.items(), tallies, strict=True)
            if rollout.key in tally.leaders
        ]


def is_verified(summary: Summary) -> bool:
    """Return whether captured output confirms something, and nothing is contradicted or left open."""
    return bool(summary.verified) and not (summary.attempted or summary.unverified)


async def _refined(told: Mapping[int, Summary], scope: Scope) -> Chains:
    """Return a fresh attempt for each chain that was told of its last, those that could be had."""
    parts = await gather(*(scope.sample(1, start=i, priors=[one]) for i, one in told.items()))
    return {i: part[0] for i, part in zip(told, parts, strict=True) if part}
