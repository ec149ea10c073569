"""Asks everybody who plays a role, once and before the first effect, whether they can."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio

from tts.errors import Unusable, UsageError


class Readiness:
    """The checks of performers that have an async method `ready`, which raises where they cannot.

    They run when the first effect is about to be performed, so what is stored already needs nobody.
    """

    def __init__(self, performers: Sequence[object]) -> None:
        asked: list[Any] = [getattr(performer, "ready", None) for performer in performers]
        self._left: list[Callable[[], Awaitable[None]]] = [ready for ready in asked if ready is not None]
        self._lock = anyio.Lock()
        self._failed: Unusable | None = None

    async def check(self) -> None:
        """Return when all have said that they are ready; the first who is not speaks for the run.

        Raises:
            Unusable: somebody cannot play.
        """
        if not self._left:
            return
        async with self._lock:
            try:
                while self._left and self._failed is None:
                    await self._left[-1]()
                    self._left.pop()
            except Unusable as error:
                self._failed = error
            except UsageError as error:
                self._failed = Unusable(str(error))
        if self._failed is not None:
            raise self._failed
