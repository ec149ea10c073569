"""Parallel-Distill-Refine for short outputs: rounds of drafts, each round from a fresh workspace.

Source: Madaan, Didolkar, Gururangan, Quan, Silva, Salakhutdinov, Zaheer, Arora, Goyal, "Rethinking Thinking
Tokens: LLMs as Improvement Operators", 2025, arXiv 2510.01123.  Round r makes M_r drafts in parallel from
the task and a workspace, and distils them into the workspace of the next round; none is kept longer.  With
one draft a round this is the paper's sequential refinement.  For agents with a workspace of their own see
`refine`.

What the paper leaves open, and where this departs from it:

- top-k goes by a judge: the drafts fall into k random groups, and each group sends its winner;
- one draft is not distilled: its summary is the workspace;
- tokens on the accepted path are counted as those on the longest path, so the account does not depend on
  which draft wins, and they are input plus output;
- a round that would pass a limit on tokens, by the largest draft of the round before, is not started;
  what distilling takes is counted afterwards;
- all drafts of the last round go on; which of them is taken is up to the next stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from random import Random
from typing import ClassVar, Literal, cast

from tts.errors import Infra, Refused, UsageError
from tts.pipeline import LATER_SHARE, gather, label
from tts.protocols import Scope, Stage
from tts.types import Candidate, Pool, Rollout, Summary, Tally

from .refine import Refine
from .rtv import RTV
from .sample import Sample

DISTILLERS = ("global", "shared", "per-sample", "random")


@dataclass(frozen=True, slots=True)
class PDR:
    """Makes `rounds` of drafts (M_1, M_2, …), each from what the round before came to.

    `distill` says what a draft is given of the round before: `global` one workspace distilled from all of
    it; `shared` the summaries of the k best, the same for every draft; `per-sample` those of k winners of
    its own groups; `random` those of k at random. `votes` are the judge calls on a group. A pool that is not
    empty counts as the first round. No further round starts when its tokens, each draft taken as the largest
    of the round before, would pass `sequential_tokens` on the longest path or `total_tokens` in all, both
    since the strategy began; such an end is part of the method and not incomplete. None: no limit.

    Needs: summaries; a judge for `shared` and `per-sample`.
    Costs: the drafts of all rounds, one round after another, and a distillation or k votes between rounds.
    Use it: for short outputs, where many drafts are cheap and parts of several make a better one.
    """

    rounds: tuple[int, ...] = (16, 8, 4)
    distill: Literal["global", "shared", "per-sample", "random"] = "global"
    k: int = 4
    votes: int = 1
    sequential_tokens: int | None = None
    total_tokens: int | None = None

    def __post_init__(self) -> None:
        if not _are_counts(self.rounds):
            raise UsageError(f"pdr's rounds are whole numbers >= 1, as in (16, 8, 4), not {self.rounds!r}")
        object.__setattr__(self, "rounds", tuple(self.rounds))
        if self.distill not in DISTILLERS:
            choices = "'global', 'shared', 'per-sample' or 'random'"
            raise UsageError(f"pdr's distill is {choices}, not {self.distill!r}")
        if self.k < 1 or self.votes < 1:
            raise UsageError(f"pdr takes k >= 1 and votes >= 1, not k={self.k} and votes={self.votes}")
        for name, limit in (("sequential", self.sequential_tokens), ("total", self.total_tokens)):
            if limit is not None and limit < 1:
                raise UsageError(f"pdr takes {name}_tokens of 1 or more, or None, not {limit}")

    @property
    def needs(self) -> frozenset[str]:
        """The roles that it asks: a summarizer where there is more than one round, a judge to pick drafts."""
        picks = self.distill in ("shared", "per-sample")
        asked = ("agent", "summarizer", "judge") if picks else ("agent", "summarizer")
        return frozenset(asked if len(self.rounds) > 1 else asked[:1])

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the drafts of the last round that brought any; incomplete where a later one brought none."""
        drafts = pool
        for r, n in enumerate(self.rounds):
            if r == 0 and pool.rollouts:
                continue
            if r > 0 and not self._affords(n, drafts, scope):
                break
            made = await self._round(n, drafts, scope, last=r + 1 == len(self.rounds))
            new = tuple(rollout for rollout in made if rollout.key not in drafts.keys)
            if not new:
                return replace(drafts, incomplete=True)
            drafts = Pool(new, incomplete=drafts.incomplete)
        return drafts

    def _affords(self, n: int, drafts: Pool, scope: Scope) -> bool:
        largest = max(draft.usage.tokens for draft in drafts)
        path, total = self.sequential_tokens, self.total_tokens
        return (path is None or scope.path_tokens + largest <= path) and (
            total is None or scope.usage.tokens + n * largest <= total
        )

    async def _round(self, n: int, drafts: Pool, scope: Scope, *, last: bool) -> Pool:
        """Return what the stages of a round make of the drafts; each leaves a share to those after it."""
        made, stages = drafts, self._stages(n, len(drafts))
        for i, stage in enumerate(stages, start=1):
            keep = 0.0 if last and i == len(stages) else LATER_SHARE
            inner = scope.enter(made, label=label(stage), keep=keep, keep_rollouts=keep)
            made = await stage(made, inner)
        return made

    def _stages(self, n: int, m: int) -> Sequence[Stage]:
        """Return the stages that make n drafts from the m of the round before."""
        if m == 0:
            return [Sample(n)]
        if m == 1:
            return [Refine(n)]
        if self.distill == "global":
            return [Global(n)]
        if self.distill == "shared":
            groups = max(2, ceil(m / self.k))
            return [RTV(keep=self.k, group=groups, votes=self.votes, merge=None), Refine(n)]
        if self.distill == "per-sample":
            return [PerSample(n, self.k, self.votes)]
        return [Refine(n, priors="random", k=self.k)]


@dataclass(frozen=True, slots=True)
class Global:
    """Makes `n` drafts that all start from one workspace, distilled from the pool."""

    n: int
    needs: ClassVar[frozenset[str]] = frozenset({"agent", "summarizer"})

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the new drafts; none where there is no workspace to be had."""
        drafts = _ordered(pool)
        summaries = await gather(*(scope.summarize(draft) for draft in drafts))
        told = [Candidate(draft, s) for draft, s in zip(drafts, summaries, strict=True) if s.key]
        workspace = await _distilled(told, scope) if told else None
        return Pool(tuple(await scope.sample(self.n, priors=[workspace]))) if workspace else Pool()


async def _distilled(told: Sequence[Candidate], scope: Scope) -> Summary | None:
    """Return the workspace of some drafts; None where the budget or the machine did not let it be made."""
    keys = [candidate.summary.key for candidate in told]
    try:
        return await scope.do(scope.effect("distil", Summary, by="summarizer", inputs=keys, read=told))
    except (Refused, Infra):
        return None


@dataclass(frozen=True, slots=True)
class PerSample:
    """Makes `n` drafts that each start from `k` of the pool: the winners of its own random groups."""

    n: int
    k: int
    votes: int
    name: ClassVar[str] = "per-sample"
    needs: ClassVar[frozenset[str]] = frozenset({"agent", "summarizer", "judge"})

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the new drafts; the groups of all of them are voted on at once, each group once."""
        draws = [self._groups(pool, scope.rng("per-sample", str(i))) for i in range(self.n)]
        tables = {frozenset(r.key for r in group): group for groups in draws for group in groups}
        meeting = {keys: group for keys, group in tables.items() if len(group) > 1}
        voted = await scope.compare(list(meeting.values()), votes=self.votes)
        tallies = dict(zip(meeting, voted, strict=True))
        parts = await gather(*(self._draft(i, groups, tallies, scope) for i, groups in enumerate(draws)))
        return Pool(tuple(draft for part in parts for draft in part))

    def _groups(self, pool: Pool, rng: Random) -> list[list[Rollout]]:
        """Return k random groups of the drafts with an output; of all of them where none has any."""
        entrants = [r for r in _ordered(pool) if (r.output or "").strip()] or list(_ordered(pool))
        rng.shuffle(entrants)
        return [entrants[i :: self.k] for i in range(min(self.k, len(entrants)))]

    async def _draft(
        self, i: int, groups: list[list[Rollout]], tallies: dict[frozenset[str], Tally], scope: Scope
    ) -> list[Rollout]:
        rng = scope.rng("per-sample", str(i), "tie")
        winners = [_winner(group, tallies.get(frozenset(r.key for r in group)), rng) for group in groups]
        summaries = await gather(*(scope.summarize(winner) for winner in winners))
        priors = [summary for summary in summaries if summary.key]
        return await scope.sample(1, start=i, priors=priors) if priors else []


def _winner(group: Sequence[Rollout], tally: Tally | None, rng: Random) -> Rollout:
    leading = group if tally is None else [r for r in group if r.key in tally.leaders]
    return rng.choice(leading)


def _ordered(pool: Pool) -> Sequence[Rollout]:
    """Return the pool in its order where it is ranked, else by iteration and index."""
    return pool.rollouts if pool.ranked else sorted(pool, key=lambda r: (r.iteration, r.index, r.key))


def _are_counts(rounds: object) -> bool:
    numbers = cast(Sequence[object], rounds) if isinstance(rounds, (tuple, list)) else ()
    return bool(numbers) and all(type(n) is int and n >= 1 for n in numbers)
