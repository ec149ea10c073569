"""Ranks by the tests passed, then by the shorter output: the first half of CodeMonkeys' selection.

Source: Ehrlich, Brown, Juravsky, Clark, Ré, Mirhoseini, "CodeMonkeys: Scaling Test-Time Compute for Software
Engineering", 2025, arXiv 2501.14723.  Each generated test votes for the patches that pass it; the three with
the most votes, shorter patches before longer ones, go to a selector that writes further tests.

Ours: a test votes as often as it was written in the same words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tts.errors import UsageError
from tts.protocols import Scope
from tts.types import Pool

from .contest import ranked
from .entrants import entrants
from .matrix import Source, check_source, matrix


@dataclass(frozen=True, slots=True)
class Tested:
    """Keeps the `keep` rollouts, of those with different outputs, that most tests vote for.

    Needs: a tester.
    Costs: the writing of n suites, and a run of each on each distinct output; no votes.
    Use it: to leave a few for a judge to choose among.
    """

    __test__ = False  # pytest would take the name for a test class

    tests: Source = "written"
    n: int = 8
    keep: int = 3
    needs: ClassVar[frozenset[str]] = frozenset({"tester"})

    @property
    def suites(self) -> frozenset[str]:
        """The kinds of tests that it asks for."""
        return frozenset({self.tests})

    def __post_init__(self) -> None:
        check_source("tested", self.tests, self.n)
        if self.keep < 1:
            raise UsageError(f"tested keeps 1 or more, not {self.keep}")

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the best; incomplete where tests were refused."""
        table = await matrix(scope, pool.rollouts, self.tests, n=self.n)
        entered = [equal[0] for equal in entrants(pool.rollouts, "exact")]
        worth = {r.key: (table.passed(r.key), -float(len(r.output or ""))) for r in entered}
        return ranked(pool, entered, worth, scope, keep=self.keep, whole=table.whole)
