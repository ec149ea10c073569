"""What the provider served and serves, counted under one lock."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal

from tts.testing.provider.script import Api, Asked
from tts.testing.provider.tokens import Prompt


@dataclass(frozen=True, slots=True)
class Served:
    """One request, over or under way.

    `status` is None until an answer has begun. `prompt_tokens` counts all of the prompt, `cached_tokens` and
    `cache_write_tokens` are part of it. `output_tokens` is what the model made so far, hidden thinking
    included, over all choices; `thinking_tokens` is part of it. `sent_at` has the time of each token that
    was shown (of an answer that is not streamed: when it was made). Times are of time.monotonic();
    `closed_at` and `closed_by` are None while it is under way. `fault` is the kind of fault that hit it.
    """

    index: int
    api: Api
    model: str
    opened_at: float
    status: int | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int = 0
    tokens_sent: int = 0
    sent_at: array[float] = field(default_factory=lambda: array("d"))
    closed_at: float | None = None
    closed_by: Literal["server", "client"] | None = None
    fault: str | None = None
    asked: Asked | None = None


@dataclass(frozen=True, slots=True)
class Bill:
    """What all requests so far would be billed: those that were answered or began to be."""

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0


class Live:
    """A request under way; only the server's thread changes it, with the lock of its counts."""

    def __init__(self, counts: Counts, asked: Asked) -> None:
        self.asked = asked
        self.opened_at = time.monotonic()
        self.left = False
        self.status: int | None = None
        self.prompt = Prompt(0)
        self.output_tokens = 0
        self.thinking_tokens = 0
        self.tokens_sent = 0
        self.sent_at: array[float] = array("d")
        self.fault: str | None = None
        self._counts = counts

    def began(self, prompt: Prompt) -> None:
        """Note that an answer begins; its prompt is billed from here on."""
        with self._counts.changing():
            self.status, self.prompt = 200, prompt

    def sent(self, shown: int, *, made: int, thinking: int) -> None:
        """Note that `made` tokens were made, `thinking` of them thinking, and `shown` of them sent."""
        with self._counts.changing():
            self.output_tokens += made
            self.thinking_tokens += thinking
            self.tokens_sent += shown
            self._counts.tokens_sent += shown
            if self._counts.keep_times:
                self.sent_at.extend([time.monotonic()] * shown)

    def hit(self, fault: str) -> None:
        """Note what goes wrong."""
        self.fault = fault

    def failed(self, status: int) -> None:
        """Note that it ends with an error status; nothing of it is billed."""
        with self._counts.changing():
            self.status = status
        self.close()

    def close(self) -> None:
        """Note the end, once; a second call changes nothing."""
        self._counts.close(self)

    def served(self, *, over: bool = False) -> Served:
        """Return the request as it stands."""
        return Served(
            index=self.asked.index,
            api=self.asked.api,
            model=self.asked.model,
            opened_at=self.opened_at,
            status=self.status,
            prompt_tokens=self.prompt.tokens,
            cached_tokens=self.prompt.cached_tokens,
            cache_write_tokens=self.prompt.cache_write_tokens,
            output_tokens=self.output_tokens,
            thinking_tokens=self.thinking_tokens,
            tokens_sent=self.tokens_sent,
            sent_at=self.sent_at if over else self.sent_at[:],
            closed_at=time.monotonic() if over else None,
            closed_by=("client" if self.left else "server") if over else None,
            fault=self.fault,
            asked=self.asked if self._counts.keep_asked else None,
        )


class Counts:
    """The requests that are over, those under way, and their totals."""

    def __init__(self, *, keep_asked: bool = True, keep_times: bool = True) -> None:
        self.keep_asked = keep_asked
        self.keep_times = keep_times
        self.tokens_sent = 0
        self._changed = threading.Condition()
        self._over: list[Served] = []
        self._open: dict[int, Live] = {}
        self._n = 0

    def changing(self) -> AbstractContextManager[object]:
        """Return the lock, for a change that the waiting are told of when it is left."""
        return _Change(self._changed)

    def next_index(self) -> int:
        """Return the number of the next request."""
        with self._changed:
            self._n += 1
            return self._n - 1

    def open(self, asked: Asked) -> Live:
        """Return a new request under way."""
        live = Live(self, asked)
        with self.changing():
            self._open[asked.index] = live
        return live

    def close(self, live: Live) -> None:
        """Move a request to those that are over."""
        with self.changing():
            if self._open.pop(live.asked.index, None) is not None:
                self._over.append(live.served(over=True))

    def over(self) -> list[Served]:
        """Return the requests that are over, in the order they ended."""
        with self._changed:
            return list(self._over)

    def under_way(self) -> list[Served]:
        """Return the requests under way, in the order they came."""
        with self._changed:
            return [live.served() for live in self._open.values()]

    def n_open(self) -> int:
        """Return how many requests are under way."""
        with self._changed:
            return len(self._open)

    def billed(self) -> Bill:
        """Return the totals of all requests that an answer began for."""
        with self._changed:
            every = [*self._over, *(live.served() for live in self._open.values())]
        paid = [one for one in every if one.status == 200]
        return Bill(
            requests=len(paid),
            prompt_tokens=sum(one.prompt_tokens for one in paid),
            cached_tokens=sum(one.cached_tokens for one in paid),
            cache_write_tokens=sum(one.cache_write_tokens for one in paid),
            output_tokens=sum(one.output_tokens for one in paid),
        )

    def wait_until(self, holds: Callable[[], bool], timeout_seconds: float) -> bool:
        """Return whether `holds` came to be true in time; it is asked again at each change."""
        with self._changed:
            return self._changed.wait_for(holds, timeout_seconds)


class _Change:
    """A condition's lock that wakes those who wait as it is let go."""

    def __init__(self, condition: threading.Condition) -> None:
        self._condition = condition

    def __enter__(self) -> None:
        self._condition.acquire()

    def __exit__(self, *_: object) -> None:
        self._condition.notify_all()
        self._condition.release()
