"""Server-sent events, and templates of those that come once for each token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

SLOT = "@@text@@"
NUMBER = 1_234_567_890_123


def encode(value: object) -> bytes:
    """Return compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def event(data: Mapping[str, Any], *, named: bool) -> bytes:
    """Return a server-sent event; `named` repeats the type of the data as the event's name."""
    name = f"event: {data['type']}\n".encode() if named else b""
    return name + b"data: " + encode(data) + b"\n\n"


class Template:
    """An event whose text, and a number if it has one, vary."""

    def __init__(self, data: Mapping[str, Any], *, named: bool) -> None:
        self._head, tail = event(data, named=named).split(encode(SLOT))
        self._middle, *rest = tail.split(encode(NUMBER))
        self._tail = rest[0] if rest else None

    def fill(self, text: str, number: int = 0) -> bytes:
        """Return the event with this text, and this number where it has one."""
        filled = self._head + encode(text) + self._middle
        return filled if self._tail is None else filled + str(number).encode() + self._tail
