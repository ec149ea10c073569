"""CodeT's dual execution agreement: solutions that pass the same tests, and how far they are to be believed.

Source: Chen, Zhang, Nguyen, Zan, Lin, Lou, Chen, "CodeT: Code Generation with Generated Tests", 2022, arXiv
2207.10397: solutions are grouped by the exact set of generated tests that they pass; a group's score is the
square root of its size times the number of tests passed, as in the paper's own code.

Ours: a test may weigh more than 1, such as as often as it was generated.  The paper hands in any solution of
the best group; here the lot draws it.  Equal outputs are run once and count as several solutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, sqrt
from typing import ClassVar

from tts.errors import UsageError
from tts.protocols import Scope
from tts.types import Pool

from .contest import ranked
from .matrix import Source, check_source, matrix


@dataclass(frozen=True, slots=True)
class Consensus:
    """Solutions that pass exactly the same tests, both by number from 0; `score` is what it is worth."""

    solutions: tuple[int, ...]
    tests: tuple[int, ...]
    score: float


def codet(passes: Sequence[Sequence[int | bool]], weights: Sequence[float] | None = None) -> list[Consensus]:
    """Return the groups of solutions by the set of tests that they pass, best first.

    `passes[i][j]` says whether solution i passes test j.  A group's score is sqrt(its solutions) times the
    tests passed, each counting `weights[j]` (None: 1).  Equal scores stand in the order of their first
    solution; a selector draws lots among them.

    Raises:
        UsageError: the rows, or the weights, are not all of one length.

    >>> [(found.solutions, found.tests) for found in codet([[1, 1, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0]])]
    [((0, 2), (0, 1)), ((1,), (0,)), ((3,), ())]
    """
    lengths = {len(row) for row in passes} | (
        {len(weights)} if weights is not None and passes else set[int]()
    )
    if len(lengths) > 1:
        raise UsageError(f"codet takes rows and weights of one length, not of {sorted(lengths)}")
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, row in enumerate(passes):
        groups.setdefault(tuple(j for j, passed in enumerate(row) if passed), []).append(i)
    found = [
        Consensus(tuple(solutions), tests, sqrt(len(solutions)) * _size(tests, weights))
        for tests, solutions in groups.items()
    ]
    return sorted(found, key=lambda consensus: -consensus.score)


def _size(tests: Sequence[int], weights: Sequence[float] | None) -> float:
    return float(len(tests)) if weights is None else fsum(weights[j] for j in tests)


@dataclass(frozen=True, slots=True)
class CodeT:
    """Keeps the `keep` rollouts of the best groups, by tests that are `written` (n suites), `own` or `given`.

    Needs: a tester, that runs the tests in a sandbox.
    Costs: the writing of n suites, and a run of each on each distinct output; no votes.
    Use it: for programs that tests can be written for, where right ones behave alike and wrong ones differ.
    """

    tests: Source = "written"
    n: int = 8
    keep: int = 1
    weighted: bool = False
    needs: ClassVar[frozenset[str]] = frozenset({"tester"})

    @property
    def suites(self) -> frozenset[str]:
        """The kinds of tests that it asks for."""
        return frozenset({self.tests})

    def __post_init__(self) -> None:
        check_source("codet", self.tests, self.n)
        if self.keep < 1:
            raise UsageError(f"codet keeps 1 or more, not {self.keep}")

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the best, group by group; incomplete where tests were refused."""
        table = await matrix(scope, pool.rollouts, self.tests, n=self.n)
        keys = list(table.passes)
        weights = table.weights if self.weighted else None
        groups = codet([table.passes[key] for key in keys], weights)
        worth = {keys[i]: (group.score,) for group in groups for i in group.solutions}
        entered = [rollout for rollout in pool if rollout.key in worth]
        return ranked(
            pool, sorted(entered, key=lambda r: r.key), worth, scope, keep=self.keep, whole=table.whole
        )
