"""A scope with no agent behind it: stages get recorded samples and verdicts, and pay what was recorded."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, NoReturn, TypeVar

from tts.errors import Refused, UsageError
from tts.replay.lanes import ReplayLane, ReplayLanes
from tts.replay.recorded import RecordedVerdict
from tts.samples import ADDITIVE, Cost, Sample, Samples, known_sum, shown, total_cost
from tts.types import Budget, Effect, Pool, Rollout, Summary, Tally, Task, Usage, Verdict, digest

T = TypeVar("T")
Votes = Mapping[frozenset[int], Sequence[RecordedVerdict]]
"""One task's verdicts by the samples they show, display orders in turn."""


@dataclass(slots=True)
class Visit:
    """What one replay on one task did: samples taken, whether it drew lots, what was missing, cost."""

    asked: int = 0
    drew: bool = False
    missing: str = ""
    costs: list[Cost] = field(default_factory=list[Cost])
    paid: set[object] = field(default_factory=set[object])

    @property
    def cost(self) -> Cost:
        """The cost so far."""
        return total_cost(self.costs)

    def refuse(self, what: str) -> NoReturn:
        """Note what is missing, so that no stage can hide it, and refuse.

        Raises:
            Refused: always.
        """
        self.missing = self.missing or what
        raise Refused(what)


@dataclass(frozen=True, slots=True)
class Deck:
    """One task's samples, its rollouts in recorded order, and the order in which they are dealt."""

    samples: Samples
    rollouts: Sequence[Rollout]
    order: Sequence[int]

    def dealt(self, first: int, n: int) -> list[Rollout]:
        """Return n rollouts from the `first` dealt on; their index is their place in this order."""
        return [replace(self.rollouts[self.order[i]], index=i) for i in range(first, first + n)]

    def sample_of(self, rollout: Rollout) -> Sample:
        """Return the recorded sample behind a rollout."""
        return self.samples.samples[self.order[rollout.index]]


def rollouts_of(samples: Samples) -> list[Rollout]:
    """Return a task's samples as finished rollouts, in recorded order; `score` becomes a signal."""
    lengths: Sequence[float | None] = samples.known_lengths or [None] * len(samples)
    return [_rollout(samples.task_id, s, length) for s, length in zip(samples.samples, lengths, strict=True)]


def _rollout(task_id: str, sample: Sample, length: float | None) -> Rollout:
    return Rollout(
        key=f"{task_id}/{sample.number}",
        task_id=task_id,
        answer=sample.answer,
        patch=sample.patch,
        usage=_usage(sample.cost),
        seconds=sample.seconds or 0.0,
        length=length,
        signals={} if sample.score is None else {"score": sample.score},
    )


def _usage(cost: Cost) -> Usage:
    return Usage(
        calls=round(cost.calls or 0),
        input_tokens=round(cost.input_tokens or 0),
        cached_input_tokens=round(cost.cached_input_tokens or 0),
        output_tokens=round(cost.output_tokens or 0),
        known_usd=cost.usd or 0.0,
        unpriced_calls=round(cost.calls or 0) if cost.usd is None else 0,
    )


@dataclass(frozen=True, slots=True)
class ReplayScope:
    """The scope of one replay on one task; `seed` and the pool's keys give its random numbers."""

    deck: Deck
    votes: Votes
    seed: str
    visit: Visit
    pool: Pool = Pool()

    @property
    def task(self) -> Task:
        """The task, of which only the id is recorded."""
        return Task(id=self.deck.samples.task_id, prompt="")

    @property
    def remaining(self) -> Budget:
        """No limits: what is recorded is paid for."""
        return Budget()

    @property
    def usage(self) -> Usage:
        """What was recorded of what the strategy has used so far."""
        return _usage(self.visit.cost)

    @property
    def path_tokens(self) -> int:
        """Refuse: what waited for what is not recorded."""
        self.visit.refuse("tokens on the longest path are not recorded")

    def rng(self, *labels: str) -> Random:
        """Return a generator derived from seed, task, the pool's sorted keys and the labels."""
        self.visit.drew = True
        return Random(digest([self.seed, self.deck.samples.task_id, sorted(self.pool.keys), labels]))

    def effect(
        self,
        kind: str,
        returns: type[T],
        *,
        by: str,
        inputs: Sequence[str] = (),
        read: Sequence[Any] = (),
        params: Mapping[str, Any] | None = None,
        occurrence: int = 0,
    ) -> Effect[T]:
        """Return the effect, which can be named here but not done."""
        return Effect(kind, self.task, returns, by, tuple(inputs), params or {}, occurrence)

    async def do(self, effect: Effect[T]) -> T:
        """Refuse: only samples and verdicts are recorded."""
        self.visit.refuse(f"effects of kind {effect.kind!r} are not recorded")

    async def sample(self, n: int, *, start: int = 0, priors: Sequence[Summary] = ()) -> list[Rollout]:
        """Return the samples dealt from `start` on.

        Raises:
            Refused: priors are given; refined rollouts are not recorded.
            UsageError: there are not as many samples.
        """
        dealt = self._dealt(n, start, priors)
        new = [r for r in dealt if r.key not in self.visit.paid]
        self.visit.paid.update(r.key for r in new)
        self._pay([self.deck.sample_of(r).cost for r in new])
        return dealt

    def lanes(
        self, n: int, *, start: int = 0, priors: Sequence[Summary] = ()
    ) -> AbstractAsyncContextManager[ReplayLanes]:
        """Return the samples dealt from `start` on as lanes that grow by their lengths at one speed.

        Raises:
            Refused: priors are given, or the lengths are not recorded.
            UsageError: there are not as many samples.
        """
        return self._raced(self._dealt(n, start, priors))

    async def summarize(self, rollout: Rollout) -> Summary:
        """Return an empty summary: trajectories are not recorded, and recorded judges need none."""
        return Summary(key=f"{rollout.key}/summary", rollout=rollout.key)

    async def compare(
        self,
        groups: Sequence[Sequence[Rollout]],
        *,
        votes: int,
        ordered: bool = False,
        told: Mapping[str, Summary] | None = None,
    ) -> list[Tally]:
        """Return the first recorded votes on each group, display orders in turn; fewer where fewer are there.

        Raises:
            Refused: a group has no recorded vote.
        """
        recorded = [self._recorded(group, ordered=ordered)[:votes] for group in groups]
        new = [v for found in recorded for v in found if id(v) not in self.visit.paid]
        self.visit.paid.update(id(v) for v in new)
        self._pay([v.cost for v in new])
        return [self._tally(g, found) for g, found in zip(groups, recorded, strict=True)]

    def enter(self, pool: Pool, *, label: str, keep: float = 0.0, keep_rollouts: float = 0.0) -> ReplayScope:
        """Return the scope of the next stage."""
        return replace(self, pool=pool)

    def _dealt(self, n: int, start: int, priors: Sequence[Summary]) -> list[Rollout]:
        if priors:
            self.visit.refuse("refined rollouts (samples that were given summaries) are not recorded")
        self.visit.asked = max(self.visit.asked, start + n)
        self.deck.samples.need(start + n, "the strategy")
        return self.deck.dealt(start, n)

    @asynccontextmanager
    async def _raced(self, dealt: Sequence[Rollout]) -> AsyncGenerator[ReplayLanes]:
        if any(r.length is None for r in dealt):
            self.visit.refuse("a race needs `length` (or `output_tokens`, or `seconds`) on every sample")
        lanes = ReplayLanes([ReplayLane(r) for r in dealt])
        try:
            yield lanes
        finally:
            self._pay_race(lanes)

    def _pay_race(self, lanes: ReplayLanes) -> None:
        parts = [_part(self.deck.sample_of(lane.source).cost, lane.share) for lane in lanes]
        ended = [lane for lane in lanes if lane.rollout]
        halt = max(ended, key=lambda lane: lane.length, default=None)
        seconds = self.deck.sample_of(halt.source).seconds if halt else None
        self.visit.costs.append(replace(total_cost(parts), critical_seconds=seconds))
        self.visit.paid.update(lane.source.key for lane in ended)

    def _pay(self, costs: Sequence[Cost]) -> None:
        """Charge what ran at once."""
        if costs:
            seconds = [c.critical_seconds for c in costs]
            slowest = None if None in seconds else max(s for s in seconds if s is not None)
            sums = {name: known_sum([getattr(c, name) for c in costs]) for name in ADDITIVE}
            self.visit.costs.append(Cost(**sums, critical_seconds=slowest))

    def _recorded(self, group: Sequence[Rollout], *, ordered: bool) -> Sequence[RecordedVerdict]:
        shown = tuple(self.deck.sample_of(r).number for r in group)
        if frozenset(shown) not in self.votes:
            listed = ", ".join(map(str, sorted(shown)))
            self.visit.refuse(f"no recorded verdict shows just the samples {listed}")
        recorded = self.votes[frozenset(shown)]
        return [v for v in recorded if v.shown == shown] if ordered else recorded

    def _tally(self, group: Sequence[Rollout], recorded: Sequence[RecordedVerdict]) -> Tally:
        keys = {self.deck.sample_of(r).number: r.key for r in group}
        votes = (
            Verdict(
                shown=tuple(keys[n] for n in v.shown),
                preferred=None if v.preferred is None else keys[v.preferred],
                usage=_usage(v.cost),
            )
            for v in recorded
        )
        return Tally(tuple(r.key for r in group), tuple(votes))


def _part(cost: Cost, share: float) -> Cost:
    """A cut call is still a call; the rest goes by the share that ran."""
    parts = {name: getattr(cost, name) for name in ADDITIVE[1:]}
    return Cost(cost.calls, **{name: None if v is None else v * share for name, v in parts.items()})


def votes_by_task(verdicts: Sequence[RecordedVerdict], tasks: Sequence[Samples]) -> dict[str, Votes]:
    """Return each task's verdicts by the set of samples shown, the orders they were shown in taking turns.

    Raises:
        UsageError: a verdict shows a sample that the pool does not have.
    """
    numbers = {t.task_id: {s.number for s in t.samples} for t in tasks}
    grouped: dict[str, dict[frozenset[int], list[RecordedVerdict]]] = {t.task_id: {} for t in tasks}
    for verdict in verdicts:
        strange = set(verdict.shown) - numbers.get(verdict.task_id, set())
        if strange:
            place = f"task {shown(verdict.task_id)}, sample {min(strange)}"
            raise UsageError(f"a verdict shows {place}, which the recorded pool does not have")
        grouped[verdict.task_id].setdefault(frozenset(verdict.shown), []).append(verdict)
    return {
        task: {group: _in_turn(votes) for group, votes in groups.items()} for task, groups in grouped.items()
    }


def _in_turn(verdicts: Sequence[RecordedVerdict]) -> list[RecordedVerdict]:
    seen: dict[tuple[int, ...], int] = {}
    turns: list[int] = []
    for verdict in verdicts:
        turns.append(seen.setdefault(verdict.shown, 0))
        seen[verdict.shown] += 1
    return [verdicts[i] for i in sorted(range(len(verdicts)), key=lambda i: turns[i])]
