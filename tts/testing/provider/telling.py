"""An answer told over the wire: in time, with its faults, and no longer than the client listens."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
from starlette.types import Send

from tts.testing.provider.answers import Piece, Voice
from tts.testing.provider.counts import Live
from tts.testing.provider.errors import error_status
from tts.testing.provider.frames import encode
from tts.testing.provider.script import Api, Fault, Says

TOKENS_PER_WRITE = 32
BROKEN: Mapping[Api, bytes] = {
    "chat": b'data: {"id":"chatcmpl-0","choices":[{"index":0,"delta":{"con\n\n',
    "responses": b'event: response.output_text.delta\ndata: {"type":"response.output_te\n\n',
    "messages": b'event: content_block_delta\ndata: {"type":"content_block_delta","ind\n\n',
}
Headers = Sequence[tuple[bytes, bytes]]


class Outlet:
    """The server's end of one HTTP response."""

    def __init__(self, send: Send, headers: Headers = ()) -> None:
        self._send = send
        self._headers = list(headers)

    async def begin(self, status: int, headers: Headers) -> None:
        """Send the status and the headers."""
        await self._send(
            {"type": "http.response.start", "status": status, "headers": [*headers, *self._headers]}
        )

    async def write(self, data: bytes) -> None:
        """Send a part of the body."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes) -> None:
        """Send the last part of the body. A response that is not ended is cut: its connection is dropped."""
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def whole(self, status: int, value: Any, headers: Headers = ()) -> None:
        """Send a JSON body in one piece."""
        data = encode(value)
        await self.begin(status, [*json_headers(len(data)), *headers])
        await self.end(data)


def json_headers(length: int) -> Headers:
    """Return the headers of a JSON body of so many bytes."""
    return [(b"content-type", b"application/json"), (b"content-length", str(length).encode())]


@dataclass(slots=True)
class Batch:
    """What is made and not sent yet."""

    data: bytearray
    made: int = 0
    shown: int = 0
    thinking: int = 0

    def add(self, piece: Piece) -> None:
        """Take in a piece."""
        self.data += piece.data
        self.made += piece.made
        self.shown += piece.shown
        self.thinking += piece.thinking

    def counted(self, live: Live) -> bytes:
        """Return the bytes, once their tokens are counted, and begin anew."""
        if self.made:
            live.sent(self.shown, made=self.made, thinking=self.thinking)
        data = bytes(self.data)
        self.data.clear()
        self.made = self.shown = self.thinking = 0
        return data


class Telling:
    """One answer on its way. A request is counted as over before its last bytes leave."""

    def __init__(self, api: Api, voice: Voice, says: Says, live: Live, outlet: Outlet) -> None:
        self._api: Api = api
        self._voice = voice
        self._says = says
        self._live = live
        self._outlet = outlet

    async def stream(self, limit: int | None, error: dict[str, Any]) -> None:
        """Tell the answer as it is made; `error` is what a fault with an error status says."""
        await self._outlet.begin(200, [(b"content-type", b"text/event-stream; charset=utf-8")])
        batch = Batch(bytearray(self._voice.opening()))
        await self._make(batch, limit, streaming=True)
        rest, fault = batch.counted(self._live), self._says.fault
        if fault is None:
            await self._finish(rest + self._voice.closing())
        else:
            await self._break(fault, rest, error)

    async def at_once(self, limit: int | None, error: dict[str, Any]) -> None:
        """Tell the answer when all of it is made."""
        fault, batch = self._says.fault, Batch(bytearray())
        kind = fault.kind if fault is not None else None
        await self._make(batch, None if kind in ("short", "malformed") else limit, streaming=False)
        batch.counted(self._live)
        if kind in ("stall", "stall_after"):
            await anyio.sleep_forever()
        if kind is not None and error:
            status = error_status(self._api, kind)
            self._live.failed(status)
            await self._outlet.whole(status, error)
        else:
            self._live.close()
            await self._whole_or_half(kind)

    async def _make(self, batch: Batch, limit: int | None, *, streaming: bool) -> None:
        """Make the tokens when they are due, catching up when late; what is not sent is left in the batch."""
        start, pace, made = time.monotonic(), self._says.seconds_per_token, 0
        for piece in self._voice.pieces():
            if limit is not None and made >= limit:
                return
            due = start + piece.tick * pace
            if batch.made >= TOKENS_PER_WRITE or (pace and due > time.monotonic()):
                data = batch.counted(self._live)
                if streaming and data:
                    await self._outlet.write(data)
                await anyio.sleep(max(due - time.monotonic(), 0))
            batch.add(piece)
            made += piece.made

    async def _break(self, fault: Fault, rest: bytes, error: dict[str, Any]) -> None:
        if fault.kind in ("stall", "stall_after"):
            await self._outlet.write(rest)
            await anyio.sleep_forever()
        if fault.kind == "cut":
            self._live.close()
            await self._outlet.write(rest)
        elif fault.kind == "malformed":
            await self._finish(rest + BROKEN[self._api])
        else:
            await self._finish(rest + (b"" if fault.kind == "short" else self._voice.failure(error)))

    async def _finish(self, data: bytes) -> None:
        self._live.close()
        await self._outlet.end(data)

    async def _whole_or_half(self, kind: str | None) -> None:
        data = encode(self._voice.body(whole=kind != "short"))
        half = data[: len(data) // 2]
        sent = half if kind == "malformed" else data
        await self._outlet.begin(200, json_headers(len(sent)))
        if kind == "cut":
            await self._outlet.write(half)
        else:
            await self._outlet.end(sent)
