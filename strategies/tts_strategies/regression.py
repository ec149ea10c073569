"""The regression filter: attempts that break fewer of the repository's tests go on.

Source: Xia, Deng, Dunn, Zhang, "Agentless: Demystifying LLM-based Software Engineering Agents", 2024, arXiv
2407.01489: the tests that pass before are run on every patch, and the patches with the fewest failures stay.
With `strict`, the order of Trae's selector (2025, arXiv 2507.23370): whoever fails one falls out, unless all
do.

Ours: a test command that names no tests counts by how many pass; a run that ends early has failed them all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from tts.protocols import Scope
from tts.types import Pool

from .matrix import matrix


@dataclass(frozen=True, slots=True)
class Regression:
    """Keeps the rollouts that fail the fewest tests that passed before; with `strict` those that fail none.

    Where nobody would stay, or no test passed before, all do.  The order of the pool is kept.

    Needs: a tester with a command that runs the repository's tests.
    Costs: one run of the tests before any change, and one for each distinct output; no votes.
    Use it: before any other selection of patches, where there are tests that pass.
    """

    strict: bool = False
    needs: ClassVar[frozenset[str]] = frozenset({"tester"})
    suites: ClassVar[frozenset[str]] = frozenset({"regression"})

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return those that stay; incomplete where the tests could not be run."""
        table = await matrix(scope, pool.rollouts, "regression")
        failures = {key: row.count(False) for key, row in table.passes.items()}
        most = 0 if self.strict else min(failures.values(), default=0)
        kept = tuple(r for r in pool if failures.get(r.key, most + 1) <= most)
        incomplete = pool.incomplete or not table.whole
        return replace(pool, rollouts=kept or pool.rollouts, incomplete=incomplete)
