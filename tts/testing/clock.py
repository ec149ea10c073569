"""An event loop whose clock jumps to the next deadline: in tests time passes without anybody waiting."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Never waits: where nothing is ready, it is later at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop in virtual time, from 0. It is for code that waits for the clock, not for other processes."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        """Return the virtual seconds that have passed."""
        return self._clock.now


def run_in_virtual_time(main: Callable[..., Awaitable[T]], *arguments: Any) -> T:
    """Return what an async function returns, run in a loop whose time is virtual."""
    return anyio.run(main, *arguments, backend_options={"loop_factory": VirtualLoop})
