"""S*: candidates that behave alike are one; a judge sees where two differ, on an input written to show it.

Source: Li, Cao, Cao, Li, Tan, Keutzer, Xing, Gonzalez, Stoica, "S*: Test Time Scaling for Code Generation",
2025, arXiv 2502.14382.  Candidates are clustered by their outputs on generated inputs.  For each pair across
clusters a model writes a distinguishing input, both are run on it, and a model that sees the outputs chooses.

Departures: the `clusters` largest clusters meet, one of each; the judge is shown both orders, and the outputs
stand as captured evidence in the summaries.  Most pairs won decides, shares of votes counted; then the larger
cluster, then the lot.  CodeMonkeys' selector (arXiv 2501.14723) has this form, with tests in place of inputs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

from tts.errors import UsageError
from tts.pipeline import gather
from tts.protocols import Scope
from tts.suites import Suite
from tts.types import Pool, Rollout, Summary, Tally

from .contest import had_all, ranked, shares
from .matrix import execution, got, matrix
from .mbr import behaviour


@dataclass(frozen=True, slots=True)
class SStar:
    """Keeps the best of the `clusters` largest clusters, by `votes` judge calls on each pair of them.

    n suites of inputs make the clusters.

    Needs: a tester whose writer is a model, a judge and summaries.
    Costs: n suites and their runs; for each pair of clusters one more, two runs and `votes` judge calls.
    Use it: for programs, where candidates fall into a few behaviours and a judge can tell which is right.
    """

    n: int = 4
    clusters: int = 4
    votes: int = 2
    keep: int = 1
    name: ClassVar[str] = "s_star"
    needs: ClassVar[frozenset[str]] = frozenset({"tester", "judge", "summarizer"})
    suites: ClassVar[frozenset[str]] = frozenset({"inputs"})

    def __post_init__(self) -> None:
        if min(self.n, self.votes, self.keep) < 1 or self.clusters < 2:
            raise UsageError(
                "s_star takes n, votes and keep of 1 or more and clusters of 2 or more, not "
                f"n={self.n}, votes={self.votes}, keep={self.keep}, clusters={self.clusters}"
            )

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return one of each cluster, the `keep` best; incomplete where something was refused."""
        table = await matrix(scope, pool.rollouts, "inputs", n=self.n)
        size = Counter(behaviour(table).values())
        first: dict[Hashable, Rollout] = {}
        for rollout in sorted((r for r in pool if r.key in table.passes), key=lambda r: r.key):
            first.setdefault(behaviour(table)[rollout.key], rollout)
        large = sorted(first, key=lambda shown: (-size[shown], first[shown].key))[: self.clusters]
        tallies = await gather(*(self._met(first[a], first[b], scope) for a, b in combinations(large, 2)))
        won: Counter[str] = Counter()
        for tally in tallies:
            won.update(shares(tally))
        worth = {first[shown].key: (float(won[first[shown].key]), size[shown]) for shown in large}
        whole = table.whole and had_all(tallies, self.votes)
        return ranked(pool, [first[shown] for shown in large], worth, scope, keep=self.keep, whole=whole)

    async def _met(self, one: Rollout, other: Rollout, scope: Scope) -> Tally:
        told = await distinguished([one, other], scope)
        (tally,) = await scope.compare([[one, other]], votes=self.votes, told=told)
        return tally


async def distinguished(pair: Sequence[Rollout], scope: Scope) -> dict[str, Summary]:
    """Return the pair's summaries, by key, with what both print on an input written to tell them apart.

    Who could not be run, or has no summary, is left out.
    """
    keys = tuple(rollout.key for rollout in pair)
    asking = scope.effect("generate", Suite, by="tester", inputs=keys, read=pair, params={"kind": "inputs"})
    suite = await got(scope, asking)
    if suite is None or not suite.cases:
        return {}
    found = await gather(*(_shown(rollout, suite, scope) for rollout in pair))
    return {summary.rollout: summary for summary in found if summary is not None}


async def _shown(rollout: Rollout, suite: Suite, scope: Scope) -> Summary | None:
    ran = await got(scope, execution(scope, suite, rollout))
    summary = await scope.summarize(rollout)
    if ran is None or not summary.key:
        return None
    named, keys = {"rollout": rollout.key}, (summary.key, ran.key)
    return await got(
        scope, scope.effect("evidence", Summary, by="tester", inputs=keys, read=(summary,), params=named)
    )
