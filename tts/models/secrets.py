"""Keys come from the environment and stay out of every text that leaves this room."""

from __future__ import annotations

import os
import re

SHORTEST = 8
"""In characters: a shorter value is no secret, and taking it out would garble texts."""

_NAMES = re.compile(r"(?:API_KEY|AUTH_TOKEN|ACCESS_KEY|SECRET|SESSION_TOKEN|BEARER_TOKEN\w*)$|_TOKEN$")
_LOOKS = re.compile(r"\bsk-[A-Za-z0-9_\-*]{8,}")


def scrubbed(text: str) -> str:
    """Return the text with every key of this environment, and what looks like one, replaced by `[key]`."""
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and _NAMES.search(name) and value in text:
            text = text.replace(value, "[key]")
    return _LOOKS.sub("[key]", text)
