"""Parallel-Distill-Refine for agents: fresh rollouts that start from summaries of selected earlier ones.

Source: "Scaling Test-Time Compute for Agentic Coding", 2026, arXiv 2604.16529, after Parallel-Distill-
Refine, 2025, arXiv 2510.01123.  Each new rollout runs in a new environment; only the summaries carry over.
The variants single and random-K are those that the paper compares with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from tts.errors import UsageError
from tts.pipeline import gather
from tts.protocols import Scope
from tts.types import Pool, Rollout, Summary


@dataclass(frozen=True, slots=True)
class Refine:
    """Makes `n` fresh rollouts conditioned on summaries of the pool.

    `priors`: `selected` gives every rollout the summaries of the whole pool (put a selection before it);
    `single` gives rollout i the summary of the i-th of the pool (again from the start when n is larger);
    `random` lets each draw its own `k` of the pool.  The pool's order counts where it is ranked; otherwise
    it is taken by iteration and index.  `final` says what goes on: the `new` rollouts only,
    as in the paper, or `all`, the new ones beside those of the pool.

    Needs: summaries of a pool; a selection before it tells `selected` what to show.
    Costs: n rollouts, all at the same time, after those whose summaries they read.
    Use it: where attempts are long and what one found out spares the next one the search.
    """

    n: int
    priors: Literal["selected", "single", "random"] = "selected"
    k: int = 4
    final: Literal["new", "all"] = "new"
    needs: ClassVar[frozenset[str]] = frozenset({"agent", "summarizer"})

    def __post_init__(self) -> None:
        if self.n < 1 or self.k < 1:
            raise UsageError(f"refine takes n >= 1 and k >= 1, not n={self.n} and k={self.k}")
        if self.priors not in ("selected", "single", "random"):
            raise UsageError(f"refine's priors are 'selected', 'single' or 'random', not {self.priors!r}")
        if self.final not in ("new", "all"):
            raise UsageError(f"refine's final is 'new' or 'all', not {self.final!r}")

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the new rollouts, with the old ones before them when `final` is `all`.

        Where no new one can be had, the pool comes back as it was, marked incomplete.
        """
        old = pool.rollouts if pool.ranked else sorted(pool, key=lambda r: (r.iteration, r.index, r.key))
        summaries = await gather(*(scope.summarize(rollout) for rollout in old))
        told = [summary for summary in summaries if summary.key]
        new = await self._rollouts(told, scope) if told else []
        if not new:
            return replace(pool, incomplete=True)
        return Pool((*(old if self.final == "all" else ()), *new), incomplete=pool.incomplete)

    async def _rollouts(self, summaries: list[Summary], scope: Scope) -> list[Rollout]:
        if self.priors == "selected":
            return await scope.sample(self.n, priors=summaries)
        parts = await gather(
            *(scope.sample(1, start=i, priors=self._own(i, summaries, scope)) for i in range(self.n))
        )
        return [rollout for part in parts for rollout in part]

    def _own(self, i: int, summaries: list[Summary], scope: Scope) -> list[Summary]:
        if self.priors == "single":
            return [summaries[i % len(summaries)]]
        rng = scope.rng("priors", str(i))
        return rng.sample(summaries, min(self.k, len(summaries)))
