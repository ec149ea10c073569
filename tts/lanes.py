"""Rollouts as they go, for strategies that cut some short."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import anyio

from tts.budget import ZERO, Account, Amount, Reservation, charge
from tts.errors import Refused
from tts.flights import Flight
from tts.ledger import Ledger
from tts.records import Record
from tts.types import Effect, Rollout, Usage


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a lane counts for in its strategy's cost: all of it, or the part up to where it was cut."""

    usage: Usage
    seconds: float


@dataclass(slots=True, eq=False)
class LedgerLane:
    """One rollout of a race; implements `tts.protocols.Lane`.

    `partial` is an earlier carrying-out that was cancelled: it tells that the rollout is longer than that,
    so it is not started again unless the race comes to need it.
    """

    effect: Effect[Rollout]
    reservation: Reservation
    unwant: Callable[[Flight], None]
    flight: Flight | None = None
    partial: Record | None = None
    stopped: bool = False
    cut: float | None = None
    settled: Amount | None = None

    @property
    def index(self) -> int:
        """The rollout's index."""
        return self.effect.occurrence

    @property
    def length(self) -> float | None:
        """The length so far, None when the agent reports none."""
        if self.flight is None:
            return self.partial.length if self.partial else None
        return self.flight.done.length if self.flight.done else self.flight.length

    @property
    def thought(self) -> bool:
        """Whether its thinking is over."""
        rollout = self.rollout
        if rollout is not None and (rollout.thought or rollout.status == "finished"):
            return True
        return self.flight is not None and self.flight.thought

    @property
    def signals(self) -> Mapping[str, float]:
        """What it has told of itself so far, in the end the signals of its rollout."""
        rollout = self.rollout
        if rollout is not None:
            return rollout.signals
        return self.flight.signals if self.flight is not None else {}

    @property
    def rollout(self) -> Rollout | None:
        """The result, None while it runs, when it was stopped, and when the machine failed."""
        if self.stopped or self.flight is None or self.flight.done is None:
            return None
        return self.flight.done.result

    @property
    def over(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.stopped or (self.flight is not None and self.flight.done is not None)

    @property
    def failed(self) -> bool:
        """Whether it ended by itself without a result: refused, or failed by the machine."""
        done = self.flight.done if self.flight is not None else None
        return not self.stopped and done is not None and done.error is not None

    def stop(self, *, at: float | None = None) -> None:
        """Stop waiting; the lane counts as cut at the length `at` (None: where it is)."""
        if self.failed:
            return
        if self.stopped:
            self.cut = at if self.cut is None or at is None else min(self.cut, at)
            return
        self.stopped, self.cut = True, at
        if self.flight is not None and self.flight.done is None:
            self.unwant(self.flight)

    def drawn(self) -> Drawn:
        """Return what the lane counts for; the share up to the cut goes by length."""
        usage, seconds = self._spent()
        length = self.length
        if not self.stopped or self.cut is None or not length or length <= self.cut:
            return Drawn(usage, seconds)
        share = self.cut / length
        return Drawn(usage.scaled(share), seconds * share)

    def _spent(self) -> tuple[Usage, float]:
        if self.flight is None:
            return (self.partial.usage, self.partial.seconds) if self.partial else (Usage(), 0.0)
        done, work = self.flight.done, self.flight.work
        if done is not None:
            return done.usage, done.seconds
        return (work.usage, time.monotonic() - work.started) if work is not None else (Usage(), 0.0)


@dataclass(slots=True, eq=False)
class LedgerLanes:
    """Several rollouts as they go; implements `tts.protocols.Lanes` and is its own context manager.

    All lanes start at once: one whose bound does not fit the stage's budget beside the others is refused.
    """

    ledger: Ledger
    account: Account
    effects: Sequence[Effect[Rollout]]
    used: Callable[[Effect[Any], Drawn], Amount]
    refused: Callable[[str], None]
    lanes: list[LedgerLane] = field(default_factory=list[LedgerLane])
    news: anyio.Event = field(default_factory=anyio.Event)

    async def __aenter__(self) -> LedgerLanes:
        for effect in self.effects:
            try:
                reservation = self.account.reserve_now(effect.bound)
            except Refused as refusal:
                self.refused(str(refusal))
                continue
            lane = LedgerLane(effect, reservation, self.ledger.unwant)
            self.lanes.append(lane)
            if self.ledger.store.find(effect.key) is None:
                lane.partial = self.ledger.store.partial(effect.key)
            if lane.partial is None:
                self._start(lane)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for lane in self.lanes:
            if not lane.over:
                lane.stop()
        try:
            flights = [lane.flight for lane in self.lanes if lane.flight is not None]
            await self.ledger.settled(flights)
            for flight in flights:  # what goes on for others has no cost to share before its end
                await flight.ended.wait()
        finally:
            for lane in self.lanes:
                if lane.flight is not None:
                    lane.flight.listeners.remove(self._tell)
                self._settle(lane, self._charged(lane))

    def __iter__(self) -> Iterator[LedgerLane]:
        return iter(self.lanes)

    async def changed(self) -> bool:
        """Wait for news of any lane; False when every lane has ended or been stopped."""
        if not self.news.is_set() and all(lane.over for lane in self.lanes if lane.flight is not None):
            waiting = [lane for lane in self.lanes if lane.flight is None and not lane.stopped]
            if not waiting:
                return False
            for lane in waiting:
                self._start(lane)
        await self.news.wait()
        self.news = anyio.Event()
        return True

    def _start(self, lane: LedgerLane) -> None:
        (lane.flight,) = self.ledger.join([lane.effect])
        lane.flight.listeners.append(self._tell)
        if lane.flight.done is not None:
            self._tell()

    def _tell(self) -> None:
        for lane in self.lanes:
            if lane.settled is None and lane.flight is not None and lane.flight.done is not None:
                drawn = lane.drawn()
                self._settle(lane, charge(lane.effect.bound, drawn.usage, drawn.seconds))
        self.news.set()

    def _settle(self, lane: LedgerLane, spent: Amount) -> None:
        """Settle a lane as it ends, so that nobody waits for it; correct that once the race is over."""
        if lane.settled is None:
            self.account.settle(lane.reservation, spent)
        else:
            self.account.add(tuple(x - y for x, y in zip(spent, lane.settled, strict=True)))
        lane.settled = spent

    def _charged(self, lane: LedgerLane) -> Amount:
        error = lane.flight.done.error if lane.flight is not None and lane.flight.done is not None else None
        if error is not None and not lane.stopped:
            self.refused(str(error))
            return ZERO
        return self.used(lane.effect, lane.drawn())
