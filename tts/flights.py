"""An effect in flight: who waits for it, how far it has come, and how it ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import anyio
import anyio.from_thread

from tts.budget import charge
from tts.errors import Infra, LimitReached, Refused, TtsError
from tts.protocols import Outcome
from tts.records import Ending, Record, decode, encode
from tts.store import Store
from tts.types import Effect, Status, Step, Usage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """How an effect ended for those who waited: its result, or the error that stands for it."""

    result: T | None = None
    error: TtsError | None = None
    usage: Usage = Usage()
    seconds: float = 0.0
    length: float | None = None


@dataclass(slots=True, eq=False)
class Flight:
    """An effect that somebody waits for. `length`, `thought` and `signals` tell how far it has come.

    `moves` counts the machines that went away under it.
    """

    effect: Effect[Any]
    batch: Batch | None = None
    waiting: int = 0
    ended: anyio.Event = field(default_factory=anyio.Event)
    done: Done[Any] | None = None
    length: float | None = None
    thought: bool = False
    signals: Mapping[str, float] = field(default_factory=dict[str, float])
    after: Flight | None = None
    moves: int = 0
    work: FlightWork | None = None
    listeners: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])

    @property
    def cancelled(self) -> bool:
        """Whether it is being cancelled, or has been."""
        return self.batch is not None and self.batch.cancel.cancel_called

    def move(self) -> None:
        """Count a machine that went away, and forget how far the effect had come there."""
        self.moves += 1
        self.length, self.thought, self.signals = None, False, {}

    def tell(self) -> None:
        """Call the listeners: something has changed."""
        for listener in list(self.listeners):
            listener()

    def conclude(self, done: Done[Any]) -> None:
        """Say how it ended; only the first word counts."""
        if self.done is None:
            self.done = done
            self.work = None  # a trajectory that is stored does not stay in memory
            self.ended.set()
            self.tell()


@dataclass(slots=True, eq=False)
class Batch:
    """Flights that are performed together."""

    flights: list[Flight]
    cancel: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class FlightWork:
    """The ledger's ears while an effect is performed; may be called from any thread."""

    def __init__(self, store: Store, flight: Flight) -> None:
        self.recorded: list[Step] = []
        self.usage = Usage()
        self._store = store
        self.flight = flight
        self.started = time.monotonic()
        self._home = threading.get_ident()

    @property
    def seconds(self) -> float:
        """How long it has been going on."""
        return time.monotonic() - self.started

    def began(self) -> None:
        """Count the time from now on."""
        self.started = time.monotonic()

    def load(self, key: str, returns: type[T]) -> T:
        """Return a stored result."""
        record = self._store.find(key)
        if record is None:
            raise Infra(f"the input {key[:12]} is not stored")
        return record.read(returns)

    def steps(self, key: str) -> Sequence[Step]:
        """Return a stored trajectory."""
        return self._store.steps(key)

    def record(self, step: Step) -> None:
        """Keep a step and its usage."""
        self._check()
        self.recorded.append(step)
        self.usage = self.usage + step.usage

    def spend(self, usage: Usage) -> None:
        """Keep usage that belongs to no step."""
        self._check()
        self.usage = self.usage + usage

    def progress(
        self, length: float | None, *, thought: bool = False, signals: Mapping[str, float] | None = None
    ) -> None:
        """Pass on how far the rollout has come."""
        self._check()
        if threading.get_ident() != self._home:
            anyio.from_thread.run_sync(self._progress, length, thought, signals)
        else:
            self._progress(length, thought, signals)

    def _check(self) -> None:
        """Stop a thread that goes on after its rollout was cancelled; tasks are stopped by the event loop."""
        if self.flight.done is not None:
            raise LimitReached("the attempt was cancelled")

    def _progress(self, length: float | None, thought: bool, signals: Mapping[str, float] | None) -> None:
        self.flight.length = length
        self.flight.thought = self.flight.thought or thought
        if signals is not None:
            self.flight.signals = dict(signals)
        self.flight.tell()


def ending_of(effect: Effect[Any], record: int, result: Outcome, work: FlightWork, *, n: int) -> Ending:
    """Return the ending of an effect that has a result, and took an n-th of the time of its batch."""
    usage, seconds, body = result.usage.plain, work.seconds / n, encode(result)
    decode(body, effect.returns)  # what could not be read back must not reach the disk
    return Ending(
        record=record,
        status=result.status,
        result=body,
        usage=usage,
        seconds=seconds,
        charged=charge(effect.bound, usage, seconds),
        length=getattr(result, "length", None),
        error=getattr(result, "reason", "") if result.status == "infra" else "",
        steps=tuple(work.recorded),
    )


def broken(
    effects: Sequence[Effect[Any]],
    records: Sequence[int],
    status: Status,
    error: str,
    work: FlightWork,
    results: Sequence[Outcome] = (),
    at_bound: bool = False,
) -> list[Ending]:
    """Return endings without a result: each bears what its unusable result used, else the first bears all.

    `at_bound` charges the whole bound where it is known: what was used is not.
    """
    told = [usage for r in results if isinstance(usage := getattr(r, "usage", None), Usage)]
    usages = [*map(_storable, told or [work.usage]), *[Usage()] * len(effects)][: len(effects)]
    seconds = work.seconds / len(effects)
    return [
        Ending(
            record=record,
            status=status,
            result=None,
            usage=usage,
            seconds=seconds,
            charged=charge(effect.bound, usage, seconds, at_bound=at_bound),
            length=work.flight.length,
            error=error,
            steps=tuple(work.recorded),
        )
        for effect, record, usage in zip(effects, records, usages, strict=True)
    ]


def _storable(usage: Usage) -> Usage:
    """Return usage as it can be stored; of one that cannot, nothing is known."""
    try:
        return usage.plain
    except (TypeError, ValueError, OverflowError):
        return Usage()


def told(ending: Ending, effect: Effect[T]) -> Done[T]:
    """Return what the waiters get: the result as it stands on disk, or an error in its place."""
    if ending.result is not None and ending.status not in ("cancelled", "infra"):
        result = decode(ending.result, effect.returns)
        return Done(result, None, ending.usage, ending.seconds, ending.length)
    if ending.status == "cancelled":
        return Done(None, Refused("cancelled"), ending.usage, ending.seconds, ending.length)
    reason = ending.error or f"the {effect.kind} failed"
    return Done(None, Infra(reason), ending.usage, ending.seconds, ending.length)


def stored(record: Record, effect: Effect[T]) -> Done[T]:
    """Return how an effect ended that was stored before."""
    return Done(record.read(effect.returns), None, record.usage, record.seconds, record.length)
