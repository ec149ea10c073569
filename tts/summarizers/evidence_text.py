"""What in hostile text is an error, a claim or a place in a patch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tts.diffs import FileDiff, Hunk
from tts.hostile import cut, line
from tts.types import Change

_EXCEPTION = re.compile(r"[A-Za-z_][\w.]{0,200}(?::.*)?")
_TRACEBACK = "Traceback (most recent call last):"


def error_of(output: str) -> str:
    """Return the line that names what went wrong: a failed test, an exception, else the last line."""
    lines = [found for found in (raw.rstrip() for raw in output.splitlines()) if found.strip()]
    failed = [found for found in lines if found.startswith(("FAILED ", "ERROR ", "--- FAIL"))]
    raised = [found for found in lines if found.startswith("E   ")]
    last = lines[-1] if lines else ""
    return next(iter(failed), "") or _raised(lines) or next(reversed(raised), "")[1:].strip() or last


def has_traceback(output: str) -> bool:
    """Return whether the output shows a Python traceback."""
    return _TRACEBACK in output


def _raised(lines: Sequence[str]) -> str:
    starts = [i for i, found in enumerate(lines) if found.strip() == _TRACEBACK]
    after = lines[starts[-1] + 1 :] if starts else list[str]()
    return next((found for found in after if _EXCEPTION.fullmatch(found)), "")


_CLAIM = re.compile(
    r"\b(?:fix(?:ed|es)?|pass(?:ed|es|ing)?|verif(?:y|ied|ies)|works?|working|should|resolved|correct|done)\b",
    re.IGNORECASE,
)


def sentences(text: str, size: int) -> Iterator[str]:
    """Yield the sentences and lines of a text, each cut to `size`; at most its last 20,000 characters."""
    for sentence in re.split(r"(?<=[.!?])\s+|\n+", text[-20_000:]):
        if shown := line(sentence, size):
            yield shown


def is_claim(sentence: str) -> bool:
    """Return whether the sentence says that something works, passes, is fixed or should be."""
    return bool(_CLAIM.search(sentence))


_BULLET = re.compile(r"\s*(?:[-*+]|\d{1,3}[.)])\s+\S")


def requirements(prompt: str, *, n: int, size: int) -> tuple[str, ...]:
    """Return the prompt's first line, bullets, then further lines: at most `n`, and a note on the rest."""
    lines = [raw for raw in prompt[:50_000].splitlines() if raw.strip(" -=*#`\t")]
    wanted = {0, *(i for i, raw in enumerate(lines) if _BULLET.match(raw))}
    order = [*sorted(wanted), *(i for i in range(len(lines)) if i not in wanted)][:n]
    shown = tuple(line(lines[i], size) for i in sorted(order))
    rest = len(lines) - len(shown)
    return (*shown, f"[{rest} more lines of the task not shown]") if rest > 0 else shown


_DEFINITION = re.compile(r"\s*(?:async\s+)?(?:def|class|func|fn|function)\s+([\w.]+)")


def changes(files: Sequence[FileDiff], *, size: int) -> Iterator[Change]:
    """Yield one change per hunk; a file without hunks (deleted, renamed, binary) gives one with its notes."""
    for file in files:
        name = line(file.path, 300)
        for hunk in file.hunks:
            before, after = ("\n".join(hunk.marked(mark)) for mark in "-+")
            yield Change(name, line(_function(hunk), 120), cut(before, size), cut(after, size))
        if not file.hunks:
            yield Change(name, after=line("; ".join(file.notes), size))


def _function(hunk: Hunk) -> str:
    """The nearest definition above the first change: in the context shown, else in the hunk's heading."""
    first = next((i for i, marked in enumerate(hunk.lines) if marked[:1] in "+-"), len(hunk.lines))
    above = [match[1] for text in hunk.lines[:first] if (match := _DEFINITION.match(text[1:]))]
    heading = _DEFINITION.match(hunk.heading)
    return above[-1] if above else heading[1] if heading else hunk.heading.strip()
