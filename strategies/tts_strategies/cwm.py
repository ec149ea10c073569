"""The order of CWM's best@k: most tests passed, then the commonest patch, then the fewest tokens.

Source: Copet et al., "CWM: An Open-Weights LLM for Research on Code Generation with World Models", 2025,
arXiv 2510.02387.  Patches and tests are sampled side by side.  A test is kept where it shows the issue on the
repository before any change; each patch is run on the tests that passed before and on the five that were
written most often; the most tests passed decide, then the majority patch, then the fewest tokens.

Departures: a test shows the issue where it fails before any change, instead of by a sentence that it prints.
Without a command for the repository's tests (`regression=False`) the written ones decide alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tts.errors import UsageError
from tts.protocols import Scope
from tts.types import Pool

from .ballots import counted
from .contest import ranked
from .matrix import Matrix, Source, check_source, matrix


@dataclass(frozen=True, slots=True)
class CWM:
    """Keeps the `keep` best by the `top` commonest tests of n suites and, with `regression`, by the old ones.

    `same` names the equivalence of outputs in the majority; None takes `patch` for patches.

    Needs: a tester, with a command for the repository's tests unless `regression=False`.
    Costs: the writing of n suites, and two runs or more on each distinct output; no votes.
    Use it: where tests are good enough to be counted, and agreement among patches settles the rest.
    """

    tests: Source = "written"
    n: int = 16
    top: int = 5
    keep: int = 1
    regression: bool = True
    same: str | None = None
    needs: ClassVar[frozenset[str]] = frozenset({"tester"})

    @property
    def suites(self) -> frozenset[str]:
        """The kinds of tests that it asks for."""
        return frozenset({self.tests, *(["regression"] if self.regression else [])})

    def __post_init__(self) -> None:
        check_source("cwm", self.tests, self.n)
        if self.keep < 1 or self.top < 1:
            raise UsageError(f"cwm's keep and top are 1 or more, not {self.keep} and {self.top}")

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the best; incomplete where tests were refused."""
        new = await matrix(scope, pool.rollouts, self.tests, n=self.n)
        old = (
            await matrix(scope, pool.rollouts, "regression") if self.regression else Matrix(passes=new.passes)
        )
        chosen = sorted(range(len(new.weights)), key=lambda i: -new.weights[i])[: self.top]
        entered = sorted((r for r in pool if r.key in new.passes), key=lambda r: r.key)
        passed = {r.key: sum(new.passes[r.key][i] for i in chosen) for r in entered}
        if self.regression:
            passed = {key: n + sum(old.passes[key]) for key, n in passed.items()}
        worth: dict[str, tuple[float, ...]] = {}
        for equal in await counted(entered, self.same):
            worth |= {r.key: (passed[r.key], len(equal), -r.usage.output_tokens) for r in equal}
        return ranked(pool, entered, worth, scope, keep=self.keep, whole=new.whole and old.whole)
