"""Closes a stream at once and whatever happens, so that a cancelled answer costs no token more."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Protocol

import anyio

GRACE_SECONDS = 5.0


class Closable(Protocol):
    """What an SDK streams from."""

    async def close(self) -> None: ...


@asynccontextmanager
async def closed(stream: Closable) -> AsyncGenerator[None]:
    """Close the stream's connection on leaving, shielded from cancellation for a short time."""
    try:
        yield
    finally:
        with anyio.move_on_after(GRACE_SECONDS, shield=True):
            await stream.close()
