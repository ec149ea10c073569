"""Nothing stored is done again: look up, share what is in flight, reserve budget, perform, store.

An effect that several strategies want at the same moment is one *flight*, and all of them wait for it.
Flights that ask the same question (they differ only in their occurrence) leave together in one *batch*.
A batch is cancelled only when nobody waits for any of its flights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

import anyio
import anyio.abc

from tts.budget import ZERO, Account, Reservation, finite, plus
from tts.errors import Moved, Refused, Unusable
from tts.events import Ended, Events, Found, RefusedEffect, Started
from tts.flights import Batch, Done, Flight, FlightWork, broken, ending_of, stored, told
from tts.protocols import Executor
from tts.records import Ending
from tts.store import Store
from tts.types import FREE, Budget, Effect

T = TypeVar("T")

SLOTS: Mapping[str, int] = {"rollout": 4, "grade": 4, "execute": 4}
"""How many effects of a kind run at once unless told otherwise; other kinds: `OTHER_SLOTS`."""
OTHER_SLOTS = 16
MOVES = 3
"""So many machines may go away under an effect before it counts as failed."""
STOPPED = "the run was interrupted"
"""Why nothing new starts after an interrupt."""


class Ledger:
    """The door to everything that costs. Use it as an async context manager around the work of a run."""

    def __init__(
        self,
        store: Store,
        executor: Executor,
        *,
        limit: Budget = Budget(),
        slots: Mapping[str, int] = SLOTS,
        events: Events | None = None,
    ) -> None:
        self.store = store
        self.events = events or Events()
        self.stopping = ""
        self.unusable: Unusable | None = None
        self._executor = executor
        self._bill = Account(limit)
        self._slots = {kind: anyio.CapacityLimiter(n) for kind, n in slots.items()}
        self._flights: dict[str, Flight] = {}
        self._group: anyio.abc.TaskGroup | None = None

    async def __aenter__(self) -> Ledger:
        await self.store.recover()
        self._bill.spent = self.store.charged()
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._group is not None
        return await self._group.__aexit__(kind, error, trace)

    @property
    def bill(self) -> tuple[float, ...]:
        """What the run has paid so far: dollars, tokens, seconds, rollouts; each payment once."""
        return self._bill.spent

    @property
    def in_flight(self) -> int:
        """How many effects are under way or waiting to start."""
        return len(self._flights)

    def stop(self, reason: str) -> None:
        """Start nothing new from now on; what is stored is still served, what is under way goes on."""
        self.stopping = reason

    def cancel(self) -> None:
        """Cancel what is under way; partial records are kept."""
        for flight in list(self._flights.values()):
            if flight.batch is not None:
                flight.batch.cancel.cancel()

    async def do(self, effects: Sequence[Effect[T]]) -> list[Done[T]]:
        """Return how each effect ended; effects in one call must ask the same question.

        Cancelling the call cancels what nobody else waits for, and waits for its clean-up.
        """
        flights = self.join(effects)
        try:
            for flight in flights:
                await flight.ended.wait()
        finally:
            for flight in flights:
                self.unwant(flight)
            await self.settled(flights)
        return [flight.done or Done() for flight in flights]

    def join(self, effects: Sequence[Effect[Any]]) -> list[Flight]:
        """Return one flight per effect, each with one more waiting; new ones start together.

        This never waits, so two askers cannot start the same effect twice.
        """
        flights = [self._flight(effect) for effect in effects]
        new = {flight: None for flight in flights if flight.batch is None and flight.done is None}
        if new:
            self._launch(Batch(list(new)))
        return flights

    def unwant(self, flight: Flight) -> None:
        """Stop waiting for one flight; its batch is cancelled when it was the last one wanted."""
        flight.waiting -= 1
        left = [] if flight.batch is None else [f for f in flight.batch.flights if f.done is None]
        if flight.batch is not None and left and not any(f.waiting > 0 for f in left):
            flight.batch.cancel.cancel()

    async def settled(self, flights: Sequence[Flight]) -> None:
        """Wait for the clean-up of those flights that are being cancelled."""
        with anyio.CancelScope(shield=True):
            for flight in flights:
                if flight.cancelled:
                    await flight.ended.wait()

    def _flight(self, effect: Effect[Any]) -> Flight:
        key = effect.key
        current = self._flights.get(key)
        if current is not None and not current.cancelled:
            current.waiting += 1
            return current
        flight = Flight(effect, waiting=1, after=current)
        record = self.store.find(key)
        if record is not None:
            flight.conclude(stored(record, effect))
            self.events.emit(Found(effect.kind, effect.task.id))
        elif self.stopping:
            self._refuse(flight, self.stopping)
        else:
            self._flights[key] = flight
        return flight

    def _launch(self, batch: Batch) -> None:
        assert self._group is not None, "the ledger is not open: use `async with`"
        for flight in batch.flights:
            flight.batch = batch
        self._group.start_soon(self._fly, batch)

    async def _fly(self, batch: Batch) -> None:
        try:
            with batch.cancel:
                await self._settle_predecessors(batch)
                await self._admit(batch)
        finally:
            for flight in batch.flights:
                self._leave(flight)
                flight.conclude(Done(error=Refused("cancelled")))

    def _leave(self, flight: Flight) -> None:
        """Take a flight off the table, and put back the one that it was still waiting for."""
        key = flight.effect.key
        if self._flights.get(key) is not flight:
            return
        del self._flights[key]
        if flight.after is not None and flight.after.done is None:
            self._flights[key] = flight.after

    async def _settle_predecessors(self, batch: Batch) -> None:
        """Wait for cancelled flights of the same effects: one may still have ended with a result."""
        for flight in [f for f in batch.flights if f.after is not None]:
            while flight.after is not None:
                await flight.after.ended.wait()
                flight.after = flight.after.after  # whom it still waited for when it gave up
            record = self.store.find(flight.effect.key)
            if record is not None:
                batch.flights.remove(flight)
                self._leave(flight)
                flight.conclude(stored(record, flight.effect))

    async def _admit(self, batch: Batch) -> None:
        """Perform as many at a time as the run's budget takes; refuse the rest once nothing more fits."""
        left = list(batch.flights)
        while left:
            try:
                reservation = await self._bill.reserve([flight.effect.bound for flight in left])
            except Refused as refusal:
                for flight in left:
                    self._refuse(flight, str(refusal))
                return
            await self._perform_reserved(left[: reservation.n], reservation)
            left = [flight for flight in left if flight.done is None]

    async def _perform_reserved(self, flights: Sequence[Flight], reservation: Reservation) -> None:
        """Hold the effects' bounds on the run's bill while they wait for a slot, are performed and stored.

        The slot is free once they are performed, so that their end and the start of those that follow share
        a commit. Those whose machine went away are not done then, and have been billed for what it did.
        """
        performance = Performance(flights)
        try:
            await self._perform_in_turn(performance)
        finally:
            self._bill.settle(reservation, performance.paid)

    async def _perform_in_turn(self, performance: Performance) -> None:
        try:
            async with self._slot(performance.flights[0].effect.kind):
                if self.stopping:
                    for flight in performance.flights:
                        self._refuse(flight, self.stopping)
                else:
                    await self._perform(performance)
        finally:
            with anyio.CancelScope(shield=True):
                await self._finish(performance)

    def _slot(self, kind: str) -> anyio.CapacityLimiter:
        if kind not in self._slots:
            self._slots[kind] = anyio.CapacityLimiter(OTHER_SLOTS)
        return self._slots[kind]

    async def _perform(self, performance: Performance) -> None:
        """Perform effects, and note how they ended."""
        flights = performance.flights
        effects = [flight.effect for flight in flights]
        records = [0] * len(flights) if performance.free else await self._begin(effects)
        work = flights[0].work = FlightWork(self.store, flights[0])
        self.events.emit(Started(effects[0].kind, effects[0].task.id))
        results: Sequence[Any] = ()
        try:
            results = await self._executor.perform(effects, work)
            performance.endings = [
                ending_of(effect, record, result, work, n=len(effects))
                for effect, record, result in zip(effects, records, results, strict=True)
            ]
        except Exception as error:  # noqa: BLE001 - the record keeps it, and the waiters get it as Infra
            lost = isinstance(error, Moved) and error.begun
            words = _in_words(error)
            performance.endings = broken(effects, records, "infra", words, work, results, at_bound=lost)
            performance.again = self._goes_on(flights, error)
            self._heed(error)
        except BaseException as error:
            if _is_stray(error):
                performance.endings = broken(effects, records, "infra", "it was cancelled from within", work)
            else:
                performance.endings = broken(effects, records, "cancelled", "", work)
                raise

    def _goes_on(self, flights: Sequence[Flight], error: Exception) -> bool:
        """Whether another machine is to carry the effects out."""
        if not isinstance(error, Moved) or self.stopping:
            return False
        for flight in flights:
            flight.move()
        return max(flight.moves for flight in flights) <= MOVES

    def _heed(self, error: Exception) -> None:
        """Stop the run where nothing that follows could go better."""
        if isinstance(error, Unusable):
            self.unusable = error
            self.stop(f"{STOPPED}: {error}")

    async def _begin(self, effects: Sequence[Effect[Any]]) -> list[int]:
        return await self.store.begin(effects, [finite(effect.bound) for effect in effects])

    async def _finish(self, performance: Performance) -> None:
        """Put the endings on disk, and only then tell those who wait, unless the effects go on elsewhere."""
        if not performance.endings:
            return  # none began
        ended = list(zip(performance.flights, performance.endings, strict=True))
        if performance.free:
            await self.store.put([(f.effect, ending) for f, ending in ended if ending.result is not None])
        else:
            await self.store.end(performance.endings)
        for flight, ending in ended:
            performance.paid = plus(performance.paid, ending.charged)
            effect = flight.effect
            self.events.emit(Ended(effect.kind, effect.task.id, ending.status, ending.usage, ending.seconds))
            if not performance.again:
                flight.conclude(told(ending, effect))

    def _refuse(self, flight: Flight, reason: str) -> None:
        effect = flight.effect
        self.events.emit(RefusedEffect(effect.kind, effect.task.id, reason))
        flight.conclude(Done(error=Refused(reason)))


@dataclass(slots=True)
class Performance:
    """Flights that are performed at once, how they ended, and what they are charged.

    `again` says that they go on elsewhere.
    """

    flights: Sequence[Flight]
    endings: Sequence[Ending] = ()
    again: bool = False
    paid: tuple[float, ...] = ZERO

    @property
    def free(self) -> bool:
        """Whether they cost nothing, so that their start needs no record."""
        return self.flights[0].effect.bound == FREE


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _is_stray(error: BaseException) -> bool:
    """Whether it is a cancellation that nobody here asked for, such as that of a performer's own task."""
    asked_for = anyio.current_effective_deadline() == float("-inf")
    return isinstance(error, anyio.get_cancelled_exc_class()) and not asked_for
