"""What an error of a provider means, decided once: again, never in this run, or never for this prompt.

Both SDKs raise errors of the same shape: those with a `status_code` came from the server, the rest from the
connection or from what could not be read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import Any, cast

from tts.errors import Declined, TtsError, Unusable
from tts.models.secrets import scrubbed

LONGEST = 300
"""Characters of a provider's message that an error shows."""


class Again(Exception):
    """A try that failed and may be made again, `retry_after` seconds (0: not said) later at the earliest."""

    def __init__(self, reason: str, *, retry_after: float = 0.0, crowded: bool = False) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.crowded = crowded


class Failed(Exception):
    """An answer that the provider itself says has failed; `type` is its code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"the answer failed: {code} {message}".strip())
        self.type = code


PASSING = (Failed, json.JSONDecodeError, UnicodeDecodeError, ConnectionError, TimeoutError)
SDKS = ("openai", "anthropic", "httpx", "httpx2", "httpcore", "httpcore2", "pydantic")
RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504, 520, 522, 524, 529})
UNUSABLE = frozenset({401, 402, 403, 404, 405, 501})
CROWDED = frozenset({"overloaded_error", "rate_limit_error", "rate_limit_exceeded"})
OVERLOADED = CROWDED | frozenset({"api_error", "server_error", "timeout_error"})
MODERATED = ("moderat", "flagged", "content policy")
OUT_OF_MONEY = ("insufficient_quota", "credit balance")


def meaning(error: Exception, name: str) -> Again | TtsError:
    """Return what stands for a provider's error; `name` is the model's."""
    if isinstance(error, (Again, TtsError)):
        return error
    status = getattr(error, "status_code", None)
    told = f"{name}: {_words(error, status)}"
    kind = str(_field(error, "type") or _field(error, "code") or "")
    broke = any(word in f"{error} {kind} {_field(error, 'code')}".lower() for word in OUT_OF_MONEY)
    if broke and status in (None, 200, 400, 429):
        return Unusable(told)
    if not isinstance(status, int) or status < 400:
        return _unnumbered(error, told, kind)
    if status not in UNUSABLE and (status in RETRIED or status >= 500 or kind in OVERLOADED):
        wait = retry_after(getattr(getattr(error, "response", None), "headers", {}))
        return Again(told, retry_after=wait, crowded=status in (429, 529) or kind == "overloaded_error")
    moderated = status == 403 and any(word in told.lower() for word in MODERATED)
    return Unusable(told) if status in UNUSABLE and not moderated else Declined(told)


def _unnumbered(error: Exception, told: str, kind: str) -> Again | TtsError:
    """An error that came inside a stream, from the connection, or from what could not be read."""
    if kind and kind not in OVERLOADED and "invalid" in kind:
        return Declined(told)
    if "api_key" in str(error) or "credential" in str(error).lower():
        return Unusable(told)
    module = type(error).__module__.partition(".")[0]
    if isinstance(error, PASSING) or module in SDKS:
        return Again(told, crowded=kind in CROWDED)
    return Declined(told)


def unreadable(error: Exception, name: str) -> Again:
    """Return what stands for an error in reading an answer that had begun: the server sent something odd."""
    return Again(f"{name}: what it sent could not be read ({type(error).__name__})")


def retry_after(headers: Mapping[str, str]) -> float:
    """Return how many seconds the server asks to wait, 0 where it does not say."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            return max(0.0, float(value) / unit)
        except ValueError:
            return _until(value)
    return 0.0


def _until(date: str) -> float:
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - time())
    except (TypeError, ValueError):
        return 0.0


def _words(error: Exception, status: object) -> str:
    message = _field(error, "message") or str(error)
    cause = error.__cause__ or error.__context__
    because = f" ({type(cause).__name__})" if cause is not None and status is None else ""
    words = " ".join(scrubbed(str(message)).split())[:LONGEST] or type(error).__name__
    return f"{status} {words}{_where(error, status)}" if status is not None else f"{words}{because}"


def _where(error: Exception, status: object) -> str:
    """The address that knew nothing, since a base URL without its /v1 is a common slip."""
    url = getattr(getattr(error, "request", None), "url", None)
    return f" at {url}; is the base URL right, /v1 included?" if status == 404 and url is not None else ""


def _field(error: Exception, name: str) -> Any:
    """A field of the error that the provider described, wherever its SDK keeps it."""
    body: object = getattr(error, "body", None)
    if isinstance(body, Mapping):
        inner = cast("Mapping[str, Any]", body)
        deeper = inner.get("error")
        described = cast("Mapping[str, Any]", deeper) if isinstance(deeper, Mapping) else inner
        if described.get(name) is not None:
            return described[name]
    return getattr(error, name, None)
