"""Letters between an effect on a worker and its run: an actor on the run's node holds them until taken."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import ray

from tts.errors import LimitReached
from tts.types import Step, Usage

T = TypeVar("T")

Letter: TypeAlias = tuple[str, tuple[Any, ...]]
"""The name of a method of `Work`, and its arguments."""
Mail: TypeAlias = tuple[int, int, bool, Sequence[Letter]]
"""A call, the number of the first letter of it or of the question, whether it is a question, and letters.

Letters are numbered in each call, since Ray's actors may take them in another order than they were sent in.
"""

RAY: Any = ray
"""Ray, whose own types are known in part only."""
PAUSE_SECONDS = 0.05
"""News of how far an effect has come leaves at most so often; what was used leaves at once."""


class Post:
    """The actor. `tell`, `ask`, `dismissed` are for workers, `take`, `answer`, `dismiss` for the run."""

    def __init__(self) -> None:
        self._mail: list[Mail] = []
        self._news = asyncio.Event()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._leave: dict[int, asyncio.Event] = {}
        self._n = 0

    async def tell(self, call: int, first: int, letters: Sequence[Letter]) -> None:
        """Keep letters of a call for the run; `first` is the number of the first."""
        self._put((call, first, False, letters))

    async def ask(self, call: int, letter: Letter) -> Any:
        """Return the run's answer to a letter; an exception is returned as it is."""
        self._n += 1
        number, answer = self._n, asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._put((call, number, True, [letter]))
        return await answer

    async def take(self) -> list[Mail]:
        """Return what has come; waits for any."""
        await self._news.wait()
        self._news.clear()
        taken, self._mail = self._mail, []
        return taken

    async def answer(self, number: int, value: Any) -> None:
        """Answer a question."""
        self._asked.pop(number).set_result(value)

    async def dismissed(self, call: int) -> None:
        """Return when the run wants nothing more of a call."""
        await self._leave.setdefault(call, asyncio.Event()).wait()
        self._leave.pop(call, None)

    async def dismiss(self, call: int) -> None:
        """Say that nothing more is wanted of a call."""
        self._leave.setdefault(call, asyncio.Event()).set()

    def _put(self, mail: Mail) -> None:
        self._mail.append(mail)
        self._news.set()


class Letters:
    """What an effect on a worker is lent; implements `tts.protocols.Work`, for any thread.

    Once it is closed, whoever still uses it is told that the attempt is over.
    """

    def __init__(self, post: Any, call: int) -> None:
        self._post = post
        self._call = call
        self._unsent: list[Letter] = []
        self._sent_at = float("-inf")
        self._lock = threading.Lock()
        self._n_sent = 0
        self._closed = False

    def close(self) -> tuple[list[Letter], int]:
        """Return the last letters and how many went before them; a thread that goes on is stopped."""
        with self._lock:
            self._closed = True
            return self._unsent, self._n_sent

    async def leaving(self) -> None:
        """Send what has waited for its time, until cancelled."""
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            with self._lock:
                self._send()

    def load(self, key: str, returns: type[T]) -> T:
        """Return a stored result."""
        loaded: T = self._ask("load", key, returns)
        return loaded

    def steps(self, key: str) -> Sequence[Step]:
        """Return a stored trajectory."""
        steps: Sequence[Step] = self._ask("steps", key)
        return steps

    def began(self) -> None:
        """Say that a worker has taken the effect up."""
        self.tell("began")

    def record(self, step: Step) -> None:
        """Keep a step and its usage."""
        self.tell("record", step)

    def spend(self, usage: Usage) -> None:
        """Keep usage that belongs to no step."""
        self.tell("spend", usage)

    def progress(
        self, length: float | None, *, thought: bool = False, signals: Mapping[str, float] | None = None
    ) -> None:
        """Pass on how far the rollout has come; of what comes close together, the last is passed on."""
        with self._lock:
            if self._unsent and self._unsent[-1][0] == "progress":
                _, (_, before, earlier) = self._unsent.pop()
                thought, signals = thought or before, earlier if signals is None else signals
        self._tell("progress", length, thought, signals, at_once=thought)

    def tell(self, name: str, *arguments: Any) -> None:
        """Tell the run something else, at once."""
        self._tell(name, *arguments, at_once=True)

    async def ask(self, name: str, *arguments: Any) -> Any:
        """Return the run's answer, without holding up the event loop."""
        return _unless_error(await self._post.ask.remote(self._call, (name, arguments)))

    async def dismissed(self) -> None:
        """Return when the run wants nothing more of this effect."""
        await self._post.dismissed.remote(self._call)

    def _tell(self, name: str, *arguments: Any, at_once: bool = False) -> None:
        with self._lock:
            self._check()
            self._unsent.append((name, arguments))
            if at_once or time.monotonic() - self._sent_at >= PAUSE_SECONDS:
                self._send()

    def _check(self) -> None:
        """Stop a thread that goes on after its attempt; tasks are stopped by the event loop."""
        if self._closed:
            raise LimitReached("the attempt is over")

    def _send(self) -> None:
        if self._unsent:
            self._post.tell.remote(self._call, self._n_sent, self._unsent)
            self._n_sent += len(self._unsent)
            self._unsent, self._sent_at = [], time.monotonic()

    def _ask(self, name: str, *arguments: Any) -> Any:
        with self._lock:
            self._check()
            self._send()
        return _unless_error(RAY.get(self._post.ask.remote(self._call, (name, arguments))))


def _unless_error(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer
