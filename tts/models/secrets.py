"""Keys come from the environment and stay out of every text that leaves this room."""

from __future__ import annotations

import os
import re

SHORTEST = 8
"""In characters: a shorter value is no secret, and taking it out would garble texts."""

_used: set[str] = set()
"""The keys that have been read, for whatever variable."""

_NAMES = re.compile(r"(?:API_KEY|AUTH_TOKEN|ACCESS_KEY|SECRET|SESSION_TOKEN|BEARER_TOKEN\w*)$|_TOKEN$")
_LOOKS = re.compile(r"\bsk-[A-Za-z0-9_\-*]{8,}")


def looks_secret(value: str) -> bool:
    """Return whether a value may be a key whatever its variable is called: no path, address, plain words."""
    plain = value.startswith(("/", "~")) or re.fullmatch(r"https?://[^@]*", value)
    return len(value) >= 12 and not plain and bool(re.search(r"\d", value) and re.search(r"[A-Za-z]", value))


def remembered(key: str) -> str:
    """Return a key, which is kept out of texts from now on."""
    if len(key) >= SHORTEST:
        _used.add(key)
    return key


def scrubbed(text: str) -> str:
    """Return an error's text with every key of this environment, and what looks like one, as `[key]`."""
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and _NAMES.search(name):
            text = text.replace(value, "[key]")
    return _LOOKS.sub("[key]", without_keys(text))


def without_keys(text: str) -> str:
    """Return a model's text with the keys that are in use as `[key]`, and all else as it is."""
    for key in _used:
        text = text.replace(key, "[key]")
    return text
