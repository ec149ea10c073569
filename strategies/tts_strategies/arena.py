"""Arena: every vote is spent where it tells most.

Ours; the model of the votes is in `beliefs`, and docs/explanation/arena.md tells it on one page.  Equal
outputs enter once.  Votes are asked in small waves: of all pairs and both display orders those from which the
choice of the winner is expected to gain most.  It ends when the winner is sure enough, when more votes are
not worth asking, or when the votes are spent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tts.equivalence import equivalence
from tts.errors import UsageError
from tts.pipeline import gather
from tts.protocols import Scope
from tts.types import Pool, Rollout, Tally, Verdict

from .beliefs import Beliefs, Floats, VoteModel
from .entrants import entrants
from .evidence import TestModel, odds
from .matrix import check_source, matrix

Showing = tuple[int, int]
"""Two candidates by number, in the order shown."""


@dataclass(frozen=True, slots=True)
class Arena:
    """Keeps the `keep` best rollouts, for at most `votes` judge calls.

    `wave` pairs are voted on at a time, each with `each` votes on one prompt.  It stops before when the
    leader is the best with probability `level`, or when the next votes are expected to raise the chosen
    strength by less than `gain` logits.  `spread`, `bias` and `position` are those of `VoteModel`.
    `agreement` is what the logarithm of the number of equal outputs counts, in logits of strength.  `merge`
    names the equivalence of outputs; None lets each rollout enter.  With `tests` it begins with what tests
    say of who is right, by the model in `evidence`: `written` (n suites), each candidate's `own`, or `given`.

    Needs: a judge and summaries; with tests a tester.
    Costs: at most `votes` judge calls, each on a prompt of its own unless `each` is larger; the tests' runs.
    Use it: in place of a tournament; a third of its votes select as well.
    """

    keep: int = 1
    votes: int = 40
    wave: int = 4
    each: int = 1
    level: float = 0.95
    gain: float = 0.003
    spread: float = 1.4
    bias: float = 1.2
    position: float = 0.0
    agreement: float = 0.25
    merge: str | None = "exact"
    tests: Literal["", "written", "own", "given"] = ""
    n: int = 8

    def __post_init__(self) -> None:
        check_source("arena", self.tests or "own", self.n)
        counts = (self.keep, self.wave, self.each)
        if min(counts) < 1 or self.votes < 0:
            raise UsageError(
                "arena takes keep, wave and each of 1 or more and votes of 0 or more, not "
                f"keep={self.keep}, wave={self.wave}, each={self.each}, votes={self.votes}"
            )
        if not 0 < self.level <= 1 or self.spread <= 0 or min(self.gain, self.bias, self.agreement) < 0:
            raise UsageError(
                "arena takes 0 < level <= 1, spread > 0 and gain, bias, agreement >= 0, not "
                f"level={self.level}, spread={self.spread}, gain={self.gain}, bias={self.bias}, "
                f"agreement={self.agreement}"
            )
        if self.merge is not None:
            equivalence(self.merge)

    @property
    def needs(self) -> frozenset[str]:
        """The roles that it asks."""
        return frozenset({"judge", "summarizer", *(["tester"] if self.tests else [])})

    @property
    def suites(self) -> frozenset[str]:
        """The kinds of tests that it asks for."""
        return frozenset({self.tests} if self.tests else ())

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the survivors, those thought strongest first."""
        equal = entrants(pool.rollouts, self.merge)
        if not equal:
            left = sorted(pool, key=lambda r: r.key)[: self.keep]
            return replace(pool, rollouts=tuple(left), ranked=True)
        players = [rollouts[0] for rollouts in equal]
        lead, tested = await self._lead(equal, scope)
        beliefs = Beliefs(lead, self.model, keep=self.keep)
        whole = len(players) <= self.keep or await self._vote(players, beliefs, scope)
        ranked = tuple(players[int(i)] for i in beliefs.ranking[0][: self.keep])
        incomplete = pool.incomplete or not (whole and tested)
        return replace(pool, rollouts=ranked, ranked=True, incomplete=incomplete)

    @property
    def model(self) -> VoteModel:
        """What it takes votes to be."""
        return VoteModel(self.spread, self.bias, self.position)

    async def _lead(self, equal: Sequence[Sequence[Rollout]], scope: Scope) -> tuple[Floats, bool]:
        """Return what is known of the players before any vote, and whether all of it could be had."""
        sizes = np.array([[len(rollouts) for rollouts in equal]], dtype=np.float64)
        lead: Floats = self.agreement * np.log(sizes)
        if not self.tests or len(equal) <= self.keep:
            return lead, True
        table = await matrix(scope, [rollouts[0] for rollouts in equal], self.tests, n=self.n)
        players = {rollouts[0].key: i for i, rollouts in enumerate(equal)}
        passes = np.array([table.passes[key] for key in players], dtype=np.float64).T
        authors = np.array([players[who[0]] if who else -1 for who in table.authors], dtype=np.int64)
        return lead + odds(passes[None], authors, TestModel()), table.whole

    async def _vote(self, players: Sequence[Rollout], beliefs: Beliefs, scope: Scope) -> bool:
        """Ask wave after wave; return whether every vote that was asked for was had."""
        asked: Counter[Showing] = Counter()
        had: Counter[Showing] = Counter()
        while room := (self.votes - asked.total()) // self.each:
            pairs, gains = beliefs.next_pairs(min(self.wave, room), each=self.each)
            if gains[0] < self.gain or beliefs.chance[0] >= self.level:
                break
            wave = self._wave([(int(low[0]), int(high[0])) for low, high in pairs], asked)
            asked.update(wave)
            before = had.total()
            for showing, tally in zip(wave, await self._ask(wave, asked, players, scope), strict=True):
                self._tell(beliefs, showing, tally.verdicts[had[showing] :], players)
                had[showing] = len(tally.verdicts)
            if had.total() == before:
                break
        return had.total() == asked.total()

    def _wave(self, pairs: Sequence[Showing], asked: Counter[Showing]) -> Counter[Showing]:
        """Return the new votes by showing; over one pair and over all, both orders take turns."""
        wave: Counter[Showing] = Counter()
        for low, high in pairs:
            orders = [(low, high), (high, low)]
            turn = orders if (low + high) % 2 else orders[::-1]
            wave[min(turn, key=lambda order: asked[order] + wave[order])] += self.each
        return wave

    async def _ask(
        self, wave: Counter[Showing], asked: Counter[Showing], players: Sequence[Rollout], scope: Scope
    ) -> list[Tally]:
        """Return the tallies of all votes so far on the wave's showings, asked at the same time."""
        groups = {showing: [players[i] for i in showing] for showing in wave}
        tallies = await gather(*(scope.compare([groups[s]], votes=asked[s], ordered=True) for s in wave))
        return [tally for (tally,) in tallies]

    def _tell(
        self, beliefs: Beliefs, showing: Showing, verdicts: Sequence[Verdict], players: Sequence[Rollout]
    ) -> None:
        first, second = (np.array([number]) for number in showing)
        for verdict in verdicts:
            if verdict.preferred is not None:
                preferred = int(verdict.preferred == players[showing[1]].key)
                beliefs.observe(first, second, np.array([preferred]))
