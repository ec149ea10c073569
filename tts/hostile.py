"""Hostile text made safe to show and to read: no control or invisible characters, no silent cut."""

from __future__ import annotations

import re

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.?)")
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


def clean(text: str) -> str:
    """Return the text without terminal escapes, control characters (newline and tab stay) and surrogates."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\x1b" in plain:
        plain = _ESCAPES.sub("", plain)
    return _CONTROLS.sub("\ufffd", plain)


def cut(text: str, size: int) -> str:
    """Return the clean text in at most `size` characters and a note between its two ends on what was cut."""
    if len(text) > 4 * size + 4000:
        text = text[: 2 * size + 1000] + text[-2 * size - 1000 :]
    shown = clean(text).strip()
    if len(shown) <= size:
        return shown
    note = f"\n[... {len(shown) - size} characters or more cut ...]\n"
    keep = max(0, size - len(note))
    head = keep // 2
    return shown[:head] + note + shown[len(shown) - (keep - head) :]


def line(text: str, size: int) -> str:
    """Return the clean text as one line of at most `size` characters; `…` marks a cut."""
    words = " ".join(clean(text[: 4 * size + 1000]).split())
    return words if len(words) <= size and len(text) <= 4 * size + 1000 else words[: max(0, size - 1)] + "…"


def size_of(text: str) -> int:
    """Return the length of a text in bytes of UTF-8; lone surrogates count as one each."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def fitting(text: str, size: int) -> tuple[str, float]:
    """Return the clean text in at most `size` bytes, a note where it is cut, and the share that is left."""
    whole = size_of(text)
    if whole <= size:
        return clean(text), 1.0
    chars = max(0, size * len(text) // whole)
    while size_of(shown := cut(text, chars)) > size and chars:
        chars = chars * 9 // 10
    return shown, min(1.0, chars / max(1, len(text)))


def unfenced(text: str) -> str:
    """Return a text without the one code fence around it, if there is one around all of it."""
    lines = text.strip().split("\n")
    fence = len(lines) > 2 and lines[0].strip().lower() in ("```", "```json") and lines[-1].strip() == "```"
    return "\n".join(lines[1:-1]) if fence else text.strip()
