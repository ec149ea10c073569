"""Limits of models over a whole cluster: a worker asks the run for a place before each request.

The throttles are the run's own, so that what asks on the nodes and what asks here counts together.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Container
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import anyio

from tts.errors import Infra
from tts.executors.cluster.post import Letters
from tts.models.connections import Connections, Key
from tts.models.throttle import Gate, Limits

NAMES = frozenset({"enter", "leave", "went_well", "took", "crowded"})
"""The letters that are for throttles, and not for the ledger."""


@dataclass(frozen=True, slots=True)
class FarThrottle:
    """A worker's way to the throttle of a model; implements `tts.models.throttle.Gate`."""

    letters: Letters
    key: Key
    limits: Limits

    @asynccontextmanager
    async def place(self, tokens: int) -> AsyncGenerator[str]:
        """Wait for a place in the run, and hold it meanwhile."""
        ticket = uuid4().hex
        try:
            await self.letters.ask("enter", ticket, self.key, self.limits, tokens)
            yield ticket
        finally:
            self.letters.tell("leave", ticket)

    def went_well(self, place: str, tokens: int) -> None:
        """Count what a request really took, and allow a little more at once."""
        self.letters.tell("went_well", place, tokens)

    def took(self, place: str, tokens: int) -> None:
        """Count what a request really took."""
        self.letters.tell("took", place, tokens)

    def crowded(self, place: str, retry_after: float) -> None:
        """Allow half as much at once."""
        self.letters.tell("crowded", place, retry_after)


@dataclass(slots=True, eq=False)
class Held:
    """A place that a call on a worker waits for or holds, until `stay` is cancelled."""

    call: int
    throttle: Gate
    place: Any = None
    stay: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class Gates:
    """The run's side: places by the tickets of the workers that asked for them; `calls` are under way."""

    def __init__(self, connections: Connections, post: Any, calls: Container[int]) -> None:
        self._connections = connections
        self._post = post
        self._calls = calls
        self._held: dict[str, Held] = {}

    def end(self, call: int) -> None:
        """Give back what a call held or waited for that is over: its worker may be gone."""
        for held in self._held.values():
            if held.call == call:
                held.stay.cancel()

    async def enter(self, question: int, call: int, asked: tuple[Any, ...]) -> None:
        """Wait for a place for a call, answer its question, and hold the place until it is left.

        What is asked is a ticket, the model's key, its limits, and the most tokens of the request.
        """
        ticket, key, limits, tokens = asked
        held = Held(call, self._connections.throttle(key, limits))
        if call in self._calls:
            self._held[ticket] = held
            await self._stay(held, question, tokens)
            del self._held[ticket]
        if held.place is None:
            self._post.answer.remote(question, Infra("the effect was cancelled"))

    async def _stay(self, held: Held, question: int, tokens: int) -> None:
        with held.stay:
            async with held.throttle.place(tokens) as held.place:
                self._post.answer.remote(question, None)
                await anyio.sleep_forever()

    def hear(self, name: str, ticket: str, *rest: Any) -> None:
        """Hear of a place, or of a wait for one that is given up."""
        held = self._held.get(ticket)
        if held is None:
            return
        if name == "leave":
            held.stay.cancel()
        elif held.place is not None:
            getattr(held.throttle, name)(held.place, *rest)
