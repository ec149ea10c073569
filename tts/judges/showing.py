"""What a judge is shown of a candidate: summary and output, fenced, and cut only with a note."""

from __future__ import annotations

from typing import Any

from tts.hostile import fitting, size_of
from tts.prompts import fenced
from tts.prompts.fence import plain
from tts.types import Candidate


def shown_of(candidate: Candidate, size: int) -> dict[str, Any]:
    """Return the values of the judge's template for one candidate, in `size` bytes or little more."""
    summary, output = plain(candidate.summary.render()), plain(candidate.rollout.output or "")
    room = rooms(size_of(summary), size_of(output), size)
    return {
        "summary": fenced(fitting(summary, room[0])[0]),
        "output": fenced(fitting(output, room[1])[0]) if output else "",
        "kind": _kind(candidate, output),
    }


def rooms(a: int, b: int, size: int) -> tuple[int, int]:
    """Return how much of a room two texts of lengths `a` and `b` get: half each, or what the other leaves."""
    half = size // 2
    return max(half, size - b), max(half, size - a)


def _kind(candidate: Candidate, output: str) -> str:
    if not output:
        return ""
    return "patch" if candidate.rollout.patch is not None else "answer"
