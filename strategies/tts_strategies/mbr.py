"""MBR-exec: the program whose outputs agree with most others'.

Source: Shi, Fried, Ghazvininejad, Zettlemoyer, Wang, "Natural Language to Code Translation with Execution",
2022, arXiv 2204.11454.  Programs are run on inputs; two programs differ where any output differs, and the
program with the least expected difference to the samples is taken (minimum Bayes risk).

Ours: the inputs are programs that print what a call returns, written for the task; one that ends in an error
agrees with nobody.  Equals go by lot.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

from tts.errors import UsageError
from tts.protocols import Scope
from tts.types import Pool

from .contest import ranked
from .matrix import Matrix, matrix


@dataclass(frozen=True, slots=True)
class MBR:
    """Keeps the `keep` rollouts whose outputs on the inputs of n suites agree with most others'.

    Needs: a tester whose writer is a model.
    Costs: the writing of n suites, and a run of each on each distinct output; no votes.
    Use it: for programs, where inputs are easy to think of and right outputs are not.
    """

    n: int = 4
    keep: int = 1
    needs: ClassVar[frozenset[str]] = frozenset({"tester"})
    suites: ClassVar[frozenset[str]] = frozenset({"inputs"})

    def __post_init__(self) -> None:
        if self.n < 1 or self.keep < 1:
            raise UsageError(f"mbr takes n >= 1 and keep >= 1, not n={self.n} and keep={self.keep}")

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the best; incomplete where runs were refused."""
        table = await matrix(scope, pool.rollouts, "inputs", n=self.n)
        behaviours = behaviour(table)
        listed = list(behaviours.values())
        worth = {key: (float(listed.count(shown)),) for key, shown in behaviours.items()}
        entered = sorted((r for r in pool if r.key in worth), key=lambda r: r.key)
        return ranked(pool, entered, worth, scope, keep=self.keep, whole=table.whole)


def behaviour(table: Matrix) -> dict[str, Hashable]:
    """Return by key what a rollout did on the inputs: its outputs, or its key where one ended in an error."""
    return {key: table.outputs[key] if all(row) else key for key, row in table.passes.items()}
