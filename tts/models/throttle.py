"""How much may go to one model at once: requests and tokens a minute, and a concurrency that adapts.

The concurrency follows additive increase and multiplicative decrease (Chiu and Jain, 1989): it grows by one
for every round of calls that went well, and halves when the server says that it is crowded, once for all the
calls that were under way then.  A server that asks to wait is waited for by everybody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Any, Protocol

import anyio

from tts.errors import UsageError

WINDOW_SECONDS = 60.0
LONGEST_CLOSED_SECONDS = 60.0
"""So long at most does one answer keep everybody waiting; who got it waits as long as it says."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a model's account allows: requests and tokens (input and output) a minute, None: no limit.

    `concurrency` is the most requests at once; as many as `start` go out before the server has said anything.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int = 256
    start: int = 32

    def __post_init__(self) -> None:
        for name in ("requests_per_minute", "tokens_per_minute", "concurrency", "start"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is 1 or more, not {value}")


class Gate(Protocol):
    """Lets requests out: the throttle itself, or the way to one in another process."""

    def place(self, tokens: int) -> AbstractAsyncContextManager[Any]:
        """Wait for a place for a request of at most so many tokens, and hold it meanwhile."""
        ...

    def went_well(self, place: Any, tokens: int) -> None: ...
    def took(self, place: Any, tokens: int) -> None: ...
    def crowded(self, place: Any, retry_after: float) -> None: ...


@dataclass(slots=True, eq=False)
class Place:
    """A request's place: when it left, and its tokens, which are its most until they are known."""

    at: float
    tokens: int
    counted: bool = False


@dataclass(slots=True, eq=False)
class Throttle:
    """Lets requests out, first come, first served. All that ask one model share one."""

    limits: Limits = Limits()
    window_seconds: float = WINDOW_SECONDS
    in_flight: int = 0
    allowed: float = field(init=False)
    _recent: deque[Place] = field(default_factory=deque[Place])
    _taken: int = 0
    _door: anyio.Lock = field(default_factory=anyio.Lock)
    _news: anyio.Event = field(default_factory=anyio.Event)
    _closed_until: float = -inf
    _halved_at: float = -inf

    def __post_init__(self) -> None:
        self.allowed = float(min(self.limits.start, self.limits.concurrency))

    @property
    def _counts(self) -> bool:
        return bool(self.limits.requests_per_minute or self.limits.tokens_per_minute)

    @asynccontextmanager
    async def place(self, tokens: int) -> AsyncGenerator[Place]:
        """Wait for a place for a request of at most so many tokens, and hold it meanwhile."""
        async with self._door:
            while (seconds := self._wait_seconds(tokens)) > 0:
                self._news = anyio.Event()
                with anyio.move_on_after(seconds):
                    await self._news.wait()
            place = Place(anyio.current_time(), tokens)
            self._enter(place)
        try:
            yield place
        finally:
            self.in_flight -= 1
            self._news.set()

    def went_well(self, place: Place, tokens: int) -> None:
        """Count what a request really took, and allow a little more at once."""
        self.took(place, tokens)
        self.allowed = min(self.allowed + 1 / self.allowed, float(self.limits.concurrency))

    def took(self, place: Place, tokens: int) -> None:
        """Count what a request really took."""
        if place.counted:
            self._taken += tokens - place.tokens
        place.tokens = tokens
        self._news.set()

    def crowded(self, place: Place, retry_after: float) -> None:
        """Allow half as much at once, unless that was done since this request left; let everybody wait."""
        now = anyio.current_time()
        if place.at >= self._halved_at:
            self.allowed = max(1.0, self.allowed / 2)
            self._halved_at = now
        self._closed_until = max(self._closed_until, now + min(retry_after, LONGEST_CLOSED_SECONDS))

    def _enter(self, place: Place) -> None:
        self.in_flight += 1
        if self._counts:
            place.counted = True
            self._recent.append(place)
            self._taken += place.tokens

    def _wait_seconds(self, tokens: int) -> float:
        """How long the next request has to wait; 0: it may go, endless: until another has ended."""
        if self.in_flight >= int(self.allowed):
            return inf
        now = anyio.current_time()
        while self._recent and self._recent[0].at <= now - self.window_seconds:
            gone = self._recent.popleft()
            gone.counted = False
            self._taken -= gone.tokens
        return max(self._closed_until - now, self._rate_seconds(tokens, now), 0.0)

    def _rate_seconds(self, tokens: int, now: float) -> float:
        """How long until enough has left the window. A request larger than the limit goes alone."""
        n, taken, free_at = len(self._recent), self._taken, now
        most_n = self.limits.requests_per_minute or inf
        most_tokens = self.limits.tokens_per_minute or inf
        for place in self._recent:
            if n < most_n and taken + tokens <= most_tokens:
                break
            n, taken, free_at = n - 1, taken - place.tokens, place.at + self.window_seconds
        return free_at - now
