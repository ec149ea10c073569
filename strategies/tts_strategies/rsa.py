"""Recursive Self-Aggregation: a population that is replaced, step by step, by aggregations of its subsets.

Source: Venkatraman, Jain, Mittal, Shah, Obando-Ceron, Bengio, Bartoldson, Kailkhura, Lajoie, Berseth,
Malkin, Jain, "Recursive Self-Aggregation Unlocks Deep Thinking in Large Language Models", 2025, arXiv
2509.26626. N candidates are drawn; each step makes N new ones, each from K of the last drawn at random, as
the paper has it with N = 16, K = 4 and 10 steps.  Nothing of an earlier step is kept, so the share of tasks
that anybody of the population solves falls over the steps while their mean rises.

Departure: an aggregation is a fresh rollout that is given the summaries of its K, where the paper shows
their whole chains of reasoning.  Which of the last population is taken is up to the next stage; the paper
draws one, or takes a majority vote.  With this it is the rounds of PDR with random-k, N drafts in each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tts.errors import UsageError
from tts.protocols import Scope
from tts.types import Pool

from .pdr import PDR


@dataclass(frozen=True, slots=True)
class RSA:
    """Replaces the pool `steps` times by `n` aggregations of `k` of it, each `k` drawn at random.

    An empty pool begins with `n` attempts.

    Needs: summaries.
    Costs: n rollouts a step, the steps one after another, and n before the first where the pool is empty.
    Use it: for short outputs where parts of wrong attempts are right, and rollouts are cheap.
    """

    n: int = 16
    k: int = 4
    steps: int = 10
    needs: ClassVar[frozenset[str]] = frozenset({"agent", "summarizer"})

    def __post_init__(self) -> None:
        if min(self.n, self.k, self.steps) < 1:
            raise UsageError(
                f"rsa takes n, k and steps of 1 or more, not n={self.n}, k={self.k}, steps={self.steps}"
            )

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the last population that there was."""
        return await PDR((self.n,) * (self.steps + 1), distill="random", k=self.k)(pool, scope)
