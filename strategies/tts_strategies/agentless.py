"""Agentless-mini's choice: groups that pass the same tests, then the commonest patch, then the earliest.

Source: Wei, Duchenne, Copet, Carbonneaux, Zhang, Fried, Synnaeve, Singh, Wang, "SWE-RL: Advancing LLM
Reasoning via Reinforcement Learning on Open Software Evolution", 2025, arXiv 2502.18449.  After the
regression filter, patches are grouped by the exact set T of reproduction tests that they pass; a group P is
worth |P| · |T|²; inside the best group the majority of the normalized patches is taken, and of those the
earliest.

Departures: patches are equal where they remove and add the same in each file, not by their syntax tree;
groups of one worth are one.  Where no test tells anything, the majority of all patches is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tts.errors import UsageError
from tts.protocols import Scope
from tts.types import Pool

from .ballots import counted
from .contest import ranked
from .matrix import Source, check_source, matrix


@dataclass(frozen=True, slots=True)
class Agentless:
    """Keeps the `keep` best by tests that are `written` (n suites), `own` or `given`.

    `same` names the equivalence of outputs in the majority; None takes `patch` for patches.

    Needs: a tester; answers that can be compared.
    Costs: the writing of n suites, and a run of each on each distinct output; no votes.
    Use it: for patches without a judge, after `regression()`.
    """

    tests: Source = "written"
    n: int = 8
    keep: int = 1
    same: str | None = None
    needs: ClassVar[frozenset[str]] = frozenset({"tester"})

    @property
    def suites(self) -> frozenset[str]:
        """The kinds of tests that it asks for."""
        return frozenset({self.tests})

    def __post_init__(self) -> None:
        check_source("agentless", self.tests, self.n)
        if self.keep < 1:
            raise UsageError(f"agentless keeps 1 or more, not {self.keep}")

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the best; incomplete where tests were refused."""
        table = await matrix(scope, pool.rollouts, self.tests, n=self.n)
        rows = list(table.passes.values())
        score = {key: rows.count(row) * sum(row) ** 2 for key, row in table.passes.items()}
        entered = sorted((r for r in pool if r.key in score), key=lambda r: r.key)
        worth: dict[str, tuple[float, ...]] = {}
        for value in set(score.values()):
            for equal in await counted([r for r in entered if score[r.key] == value], self.same):
                worth |= {r.key: (value, len(equal), -r.iteration, -r.index) for r in equal}
        return ranked(pool, entered, worth, scope, keep=self.keep, whole=table.whole)
