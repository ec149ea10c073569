"""Blitz: k meet at a time, and what follows from what is known is not asked again.

Source: Agrawal, Nguyen, Kiela, "BlitzRank: Principled Zero-shot Ranking Agents with Tournament Graphs",
2026, arXiv 2602.05448.  Each comparison of k gives up to k (k - 1) / 2 preferences; they are the edges of
one graph, and its transitive closure settles more pairs.  Who prefers whom in a circle is tied: the circle
collapses into one class.  It ends when the best are certain.

A verdict of ours names one winner, which is k - 1 preferences; with `scores` for all who were shown it
ranks them, which is all k (k - 1) / 2, and equal scores are a tie.  Ours beside this: the schedule, which
puts together those who are known to be worse than the fewest, each unsettled with another of the group
(with all of it as long as verdicts name winners only, or nothing might be learnt); a pair is decided by
more verdicts one way than the other, and by as many either way it is tied; a group of which a judge says
nothing is tied; equal outputs enter once (`merge`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import ClassVar

from tts.errors import UsageError
from tts.protocols import Scope
from tts.types import Pool, Tally, Verdict

from .contest import check, had_all, players, ranked

Preference = tuple[str, str]
"""Two keys: the first is at least as good as the second."""


@dataclass(frozen=True, slots=True)
class Blitz:
    """Keeps the `keep` best (m), found by comparisons of `group` rollouts at a time (k), `votes` each.

    Ranked by how many are known to be better, then by how many are known to be worse.  `merge` names the
    equivalence of outputs; None lets each rollout enter.

    Needs: a judge and summaries; a judge that scores all who are shown tells it far more.
    Costs: about (N - 1) / (k - 1) groups of `votes` judge calls for one winner.
    Use it: where a judge can read several candidates at once, or the best few are wanted in their order.
    """

    keep: int = 1
    group: int = 4
    votes: int = 1
    merge: str | None = "exact"
    needs: ClassVar[frozenset[str]] = frozenset({"judge", "summarizer"})

    def __post_init__(self) -> None:
        check("blitz", self.merge, keep=self.keep, votes=self.votes)
        if self.group < 2:
            raise UsageError(f"blitz takes group of 2 or more, not {self.group}")

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the best, as far as votes could be had to settle them."""
        named = {rollout.key: rollout for rollout in players(pool, self.merge)}
        lots = list(named)
        scope.rng("lots").shuffle(lots)
        known, whole = Known(lots), True
        while groups := known.next_groups(self.keep, self.group):
            asked = [[named[key] for key in group] for group in groups]
            tallies = await scope.compare(asked, votes=self.votes)
            known.add(tallies)
            whole = whole and had_all(tallies, self.votes)
            if not any(tally.verdicts for tally in tallies):
                break
        worth = {key: (-len(known.better[key]), len(known.worse[key])) for key in lots}
        return ranked(pool, list(named.values()), worth, scope, keep=self.keep, whole=whole)


class Known:
    """What verdicts said of some players, and what follows from it.

    `better`, `worse` and `tied` hold for each key those known to be so; who is in none of them is unsettled
    with it.  Where the schedule has a choice, earlier `lots` go first.
    """

    def __init__(self, lots: Sequence[str]) -> None:
        self.lots = lots
        self.said: Counter[Preference] = Counter()
        self.ranks = True  # every verdict so far ranked all who were shown
        self._close()

    def add(self, tallies: Sequence[Tally]) -> None:
        """Add what the verdicts say."""
        verdicts = [(tally.group, verdict) for tally in tallies for verdict in tally.verdicts]
        for group, verdict in verdicts:
            self.said.update(preferences(group, verdict))
        self.ranks = self.ranks and all(verdict.scores for _, verdict in verdicts)
        self._close()

    def next_groups(self, keep: int, size: int) -> list[list[str]]:
        """Return disjoint groups of at most `size` to compare; none when the best `keep` are settled."""
        left = [key for key in self.lots if len(self.better[key]) < keep]
        open_ = [key for key in left if any(self._unsettled(key, other) for other in left)]
        if len(left) <= keep or not open_:
            return []
        waiting = sorted(open_, key=lambda key: (len(self.better[key]), len(self.worse[key])))
        fewest, groups = len(self.better[waiting[0]]), list[list[str]]()
        while waiting and len(self.better[waiting[0]]) == fewest:
            group = self._group(waiting, size)
            groups += [group] if len(group) > 1 else []
            waiting = [key for key in waiting if key not in group]
        return groups

    def _group(self, waiting: Sequence[str], size: int) -> list[str]:
        group, enough = [waiting[0]], any if self.ranks else all
        for key in waiting[1:]:
            if len(group) < size and enough(self._unsettled(key, other) for other in group):
                group.append(key)
        return group

    def _unsettled(self, a: str, b: str) -> bool:
        return not (b in self.tied[a] or b in self.better[a] or b in self.worse[a])

    def _close(self) -> None:
        import networkx as nx

        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(self.lots)
        graph.add_edges_from((a, b) for (a, b), n in self.said.items() if n >= self.said[b, a])
        circles = nx.condensation(graph)
        closed = nx.transitive_closure_dag(circles)
        members = {circle: set[str](circles.nodes[circle]["members"]) for circle in circles}
        self.tied = {key: keys for keys in members.values() for key in keys}
        self.better, self.worse = dict[str, set[str]](), dict[str, set[str]]()
        for circle, keys in members.items():
            above = set[str]().union(*(members[one] for one in closed.predecessors(circle)))
            below = set[str]().union(*(members[one] for one in closed.successors(circle)))
            self.better |= dict.fromkeys(keys, above)
            self.worse |= dict.fromkeys(keys, below)


def preferences(group: Sequence[str], verdict: Verdict) -> Iterator[Preference]:
    """Yield what a verdict says of the pairs of a group; a tie is said both ways."""
    if verdict.scores:
        scored = zip(verdict.shown, verdict.scores, strict=True)
        yield from ((a, b) for (a, x), (b, y) in permutations(scored, 2) if x >= y)
    elif verdict.preferred is not None:
        yield from ((verdict.preferred, key) for key in group if key != verdict.preferred)
    else:
        yield from permutations(group, 2)
