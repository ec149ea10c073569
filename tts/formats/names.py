"""File names of hostile ids: never a path, never hidden, and reversible."""

from __future__ import annotations

import hashlib
import re

MAX_CHARACTERS = 180
"""The longest name that is kept whole; of a longer one the beginning and a digest."""

_UNSAFE = re.compile(rb"[^A-Za-z0-9_.@\-]|\A\.")


def escaped(name: str) -> str:
    """Return a file name that stands for any text: ASCII letters, digits and `_-@.` stay, the rest is %XX.

    It has no separator, does not begin with a dot and is never empty. `unescaped` gives the text back, but
    for one that is too long for a file's name: that one ends in `+` and a digest.
    """
    body = name.encode("utf-8", "surrogatepass")
    safe = _UNSAFE.sub(lambda found: b"%%%02X" % found[0][0], body).decode() or "%"
    if len(safe) <= MAX_CHARACTERS:
        return safe
    return f"{safe[: MAX_CHARACTERS - 33].rstrip('%')}+{hashlib.sha256(body).hexdigest()[:32]}"


def unescaped(name: str) -> str:
    """Return the text that a file name stands for; a name that `escaped` never gives stays as it is."""
    if name == "%":
        return ""
    try:
        body = re.sub(rb"%([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), name.encode())
        text = body.decode("utf-8", "surrogatepass")
    except UnicodeError:
        return name
    return text if escaped(text) == name else name
