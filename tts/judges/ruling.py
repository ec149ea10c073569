"""What a judge's reply says, read strictly: the whole reply is the verdict, or there is none."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from pydantic import BaseModel, ConfigDict

from tts.errors import UsageError
from tts.hostile import unfenced
from tts.models.chat import Reply

LONGEST_REASON = 4_000
"""Characters of the reasons that a verdict keeps."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """A label and the reasons given for it."""

    verdict: str
    reasons: str


class Answer(BaseModel):
    """The reply's form. Fields of other names are left alone: they decide nothing."""

    model_config = ConfigDict(extra="ignore", strict=True)

    reasons: str = ""
    verdict: str


def labels_for(n: int) -> list[str]:
    """Return the letters by which `n` candidates are called.

    Raises:
        UsageError: there are more candidates than letters.
    """
    if n > len(ascii_uppercase):
        raise UsageError(f"a judge compares at most {len(ascii_uppercase)} candidates at a time, not {n}")
    return list(ascii_uppercase[:n])


def schema_for(labels: Sequence[str]) -> dict[str, Any]:
    """Return the JSON schema of a reply: reasons first, so that the verdict follows from them."""
    return {
        "type": "object",
        "properties": {
            "reasons": {"type": "string", "description": "The decisive difference, and on which evidence."},
            "verdict": {"type": "string", "enum": list(labels), "description": "The candidate preferred."},
        },
        "required": ["reasons", "verdict"],
        "additionalProperties": False,
    }


def ruling_of(reply: Reply, labels: Sequence[str]) -> Ruling | None:
    """Return what a reply rules, None where it is not one JSON object in full that names one label.

    Nothing is searched for inside a text: a verdict that a reply merely quotes is not its own.
    """
    if reply.stop != "end":
        return None
    try:
        value: object = json.loads(unfenced(reply.text))
        answer = Answer.model_validate_json(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    named = re.fullmatch(r"(?:candidate\s+)?([a-z])\.?", answer.verdict.strip(), re.IGNORECASE)
    label = named[1].upper() if named else ""
    return Ruling(label, answer.reasons.strip()[:LONGEST_REASON]) if label in labels else None
