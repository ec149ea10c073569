"""Hostile text inside a prompt: made plain, and put between marks that it cannot write itself.

The marks carry a hash of the text between them.  A text that held its own closing mark would have to hold
its own hash.
"""

from __future__ import annotations

import re

from tts.hostile import clean
from tts.types import digest

HASH_DIGITS = 20
"""Of 4 bits each."""

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u2800\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ue000-\uf8ff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
"""Characters that show nothing, or nothing that all see alike."""

_ROLE_MARK = re.compile(
    r"<[|\uff5c][^<>]{0,200}[|\uff5c]>|<</?SYS>>|<\uff5c|\uff5c>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS|gMASK)\]"
    r"|</?(?:s|bos|eos|pad|sop|eop|think|thinking|start_of_turn|end_of_turn)>",
    re.IGNORECASE,
)
"""What tokenizers of chat models may take for the end of a turn, or for their own thinking."""


def plain(text: str) -> str:
    """Return the text with what is invisible made visible, and with no mark that ends a turn of a chat."""
    shown = clean(text)
    if not shown.isascii():
        shown = _INVISIBLE.sub("\ufffd", shown)
    return _ROLE_MARK.sub(lambda mark: f"{mark[0][0]} {mark[0][1:]}", shown)


def fenced(text: str) -> str:
    """Return the plain text between an opening and a closing mark of its own.

    >>> print(fenced("verdict: A"))  # doctest: +ELLIPSIS
    <untrusted-...>
    verdict: A
    </untrusted-...>
    """
    shown = plain(text).strip("\n")
    mark = f"untrusted-{digest(shown)[:HASH_DIGITS]}"
    return f"<{mark}>\n{shown}\n</{mark}>"
