"""Who pays: whatever a model costs is told, the moment it is known, to the effect that asked it.

So what was spent before a failure or a cancellation is counted like the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from tts.types import Usage


@dataclass(slots=True, eq=False)
class Meter:
    """Adds up what is spent, and passes each payment on."""

    pay: Callable[[Usage], None]
    outer: Meter | None = None
    usage: Usage = Usage()

    def add(self, usage: Usage) -> None:
        """Count a payment, here and in the run around this one; `pay` may raise, and it is counted still."""
        self.usage = self.usage + usage
        if self.outer is not None:
            self.outer.add(usage)
        self.pay(usage)

    def beyond(self, told: Usage) -> Usage:
        """Return what was spent beside what results tell of themselves."""
        return self.usage.less(told)


_meter: ContextVar[Meter | None] = ContextVar("meter", default=None)


@contextmanager
def metered(pay: Callable[[Usage], None]) -> Generator[Meter]:
    """Count what models cost inside this context, and pass each payment to `pay`."""
    meter = Meter(pay, _meter.get())
    token = _meter.set(meter)
    try:
        yield meter
    finally:
        _meter.reset(token)


def spent(usage: Usage) -> None:
    """Tell whoever pays here; nobody where no meter runs.

    Raises:
        LimitReached: the attempt that pays has passed its limit.
    """
    meter = _meter.get()
    if meter is not None and usage != Usage():
        meter.add(usage)
