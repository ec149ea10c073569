"""Limits of models over a whole cluster: a worker asks the run for a place before each request.

The throttles are the run's own, so that what asks on the nodes and what asks here counts together.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Container
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

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
    async def place(self, tokens: int) -> AsyncGenerator[int]:
        """Wait for a place in the run, and hold it meanwhile."""
        number: int = await self.letters.ask("enter", self.key, self.limits, tokens)
        try:
            yield number
        finally:
            self.letters.tell("leave", number)

    def went_well(self, place: int, tokens: int) -> None:
        """Count what a request really took, and allow a little more at once."""
        self.letters.tell("went_well", place, tokens)

    def took(self, place: int, tokens: int) -> None:
        """Count what a request really took."""
        self.letters.tell("took", place, tokens)

    def crowded(self, place: int, retry_after: float) -> None:
        """Allow half as much at once."""
        self.letters.tell("crowded", place, retry_after)


@dataclass(slots=True, eq=False)
class Held:
    """A place that a call on a worker holds."""

    call: int
    throttle: Gate
    place: Any
    left: anyio.Event = field(default_factory=anyio.Event)


class Gates:
    """The run's side: places by the number of the question that asked for them; `calls` are under way."""

    def __init__(self, connections: Connections, post: Any, calls: Container[int]) -> None:
        self._connections = connections
        self._post = post
        self._calls = calls
        self._held: dict[int, Held] = {}

    def end(self, call: int) -> None:
        """Give back what a call held that is over: its worker may be gone."""
        for held in self._held.values():
            if held.call == call:
                held.left.set()

    async def enter(self, number: int, call: int, asked: tuple[Any, ...]) -> None:
        """Wait for a place for a call, tell it, and hold the place until it is left.

        What is asked is the model's key, its limits, and the most tokens of the request.
        """
        key, limits, tokens = asked
        throttle = self._connections.throttle(key, limits)
        async with throttle.place(tokens) as place:
            if call not in self._calls:
                self._post.answer.remote(number, Infra("the effect was cancelled"))
                return
            held = self._held[number] = Held(call, throttle, place)
            self._post.answer.remote(number, number)
            await held.left.wait()
        del self._held[number]

    def hear(self, name: str, number: int, *rest: Any) -> None:
        """Hear of a place."""
        held = self._held.get(number)
        if held is None:
            return
        if name == "leave":
            held.left.set()
        else:
            getattr(held.throttle, name)(held.place, *rest)
