"""Open connections: one client, and one throttle, for each model of a host, shared by all that ask it.

They live as long as the outermost `connected()`, and belong to its event loop.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.lowlevel import current_token

from tts.models.chat import Wire
from tts.models.throttle import Limits, Throttle


@dataclass(frozen=True, slots=True)
class Line:
    """The way to a model."""

    wire: Wire
    throttle: Throttle


@dataclass(slots=True, eq=False)
class Connections:
    """What is open; `loop` is the event loop that it belongs to."""

    loop: object
    clients: dict[tuple[Any, ...], Any] = field(default_factory=dict[tuple[Any, ...], Any])
    throttles: dict[tuple[str, str, str], Throttle] = field(
        default_factory=dict[tuple[str, str, str], Throttle]
    )

    def client(self, key: tuple[Any, ...], made: Callable[[], Any]) -> Any:
        """Return the SDK's client of that key, made where there is none yet."""
        if key not in self.clients:
            self.clients[key] = made()
        return self.clients[key]

    def line(self, wire: Wire, limits: Limits) -> Line:
        """Return the way to a model; the first to ask sets its limits."""
        key = (wire.provider, wire.place, wire.model)
        return Line(wire, self.throttles.setdefault(key, Throttle(limits)))

    async def close(self) -> None:
        """Close every client."""
        with anyio.CancelScope(shield=True):
            for client in self.clients.values():
                await client.close()


_open: ContextVar[Connections | None] = ContextVar("connections", default=None)


@asynccontextmanager
async def connected() -> AsyncGenerator[Connections]:
    """Open connections for everything that is asked inside; inside another `connected()` its own."""
    there = _open.get()
    if there is not None and there.loop == current_token():  # a thread has a loop of its own
        yield there
        return
    connections = Connections(current_token())
    token = _open.set(connections)
    try:
        yield connections
    finally:
        _open.reset(token)
        await connections.close()
