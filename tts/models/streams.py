"""An answer as a stream of JSON events, closed at once whatever happens: a cancelled one costs no more."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeAlias

import anyio

GRACE_SECONDS = 5.0

Raw: TypeAlias = Mapping[str, Any]
"""An event or a part of one, as the provider wrote it."""


def part(of: Raw, name: str) -> Raw:
    """Return a part of an event that has parts itself, empty where it is missing or null."""
    found: Raw | None = of.get(name)
    return found or {}


class Closable(Protocol):
    """What an SDK streams from."""

    async def close(self) -> None: ...


@asynccontextmanager
async def posted(client: Any, path: str, body: Raw, stream_of: Any) -> AsyncGenerator[AsyncIterator[Raw]]:
    """Post a request through an SDK's client and return the events of its answer.

    `stream_of` is the SDK's class of streams. The events stay JSON values: to make one of the SDK's models of
    each token takes more time than all the rest of a request.
    """
    stream = await client.post(path, body=body, cast_to=object, stream=True, stream_cls=stream_of[object])
    async with closed(stream):
        yield stream


@asynccontextmanager
async def closed(stream: Closable) -> AsyncGenerator[None]:
    """Close the stream's connection on leaving, shielded from cancellation for a short time."""
    try:
        yield
    finally:
        with anyio.move_on_after(GRACE_SECONDS, shield=True):
            await stream.close()
