"""Open connections: one client, and one throttle, for each model of a host, shared by all that ask it.

They live as long as the outermost `connected()`, and belong to its event loop.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import anyio
from anyio.lowlevel import current_token

from tts.models.chat import Wire
from tts.models.throttle import Gate, Limits, Throttle

Key: TypeAlias = tuple[str, str, str]
"""Provider, place and model: those who ask the same share a throttle."""


@dataclass(frozen=True, slots=True)
class Line:
    """The way to a model."""

    wire: Wire
    throttle: Gate


@dataclass(slots=True, eq=False)
class Connections:
    """What is open; `loop` is the event loop that it belongs to, `gate` makes a model's throttle."""

    loop: object
    gate: Callable[[Key, Limits], Gate]
    clients: dict[tuple[Any, ...], Any] = field(default_factory=dict[tuple[Any, ...], Any])
    throttles: dict[Key, Gate] = field(default_factory=dict[Key, Gate])

    def client(self, key: tuple[Any, ...], made: Callable[[], Any]) -> Any:
        """Return the SDK's client of that key, made where there is none yet."""
        if key not in self.clients:
            self.clients[key] = made()
        return self.clients[key]

    def line(self, wire: Wire, limits: Limits) -> Line:
        """Return the way to a model."""
        return Line(wire, self.throttle((wire.provider, wire.place, wire.model), limits))

    def throttle(self, key: Key, limits: Limits) -> Gate:
        """Return the throttle of a model; the first to ask sets its limits."""
        if key not in self.throttles:
            self.throttles[key] = self.gate(key, limits)
        return self.throttles[key]

    async def close(self) -> None:
        """Close every client."""
        with anyio.CancelScope(shield=True):
            for client in self.clients.values():
                await client.close()


def _own_throttle(key: Key, limits: Limits) -> Gate:
    return Throttle(limits)


_open: ContextVar[Connections | None] = ContextVar("connections", default=None)


@asynccontextmanager
async def connected(gate: Callable[[Key, Limits], Gate] | None = None) -> AsyncGenerator[Connections]:
    """Open connections for everything that is asked inside; inside another `connected()` its own.

    `gate` makes the throttle of a model, None: one for this process.
    """
    there = _open.get()
    if there is not None and there.loop == current_token():  # a thread has a loop of its own
        yield there
        return
    connections = Connections(current_token(), gate or _own_throttle)
    token = _open.set(connections)
    try:
        yield connections
    finally:
        _open.reset(token)
        await connections.close()
