"""Edits of a Python file as replacements of text, so that a difference shows only what changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from tts.demo.operators import OPERATORS
from tts.demo.source import Module, Span


@dataclass(frozen=True, slots=True)
class Edit:
    """Replaces the bytes `start` to `end` of `file` by `after`; `line` and `column` count from 1.

    `operator` is the name in `OPERATORS` that drew it, `share` its weight within its line,
    `text` what the agent's actions call it.
    """

    file: str
    start: int
    end: int
    line: int
    column: int
    before: str
    after: str
    operator: str
    share: float
    text: str


def apply(source: bytes, edits: Iterable[Edit]) -> bytes:
    """Return the source with the edits made; they must not overlap."""
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end), reverse=True):
        source = source[: edit.start] + edit.after.encode() + source[edit.end :]
    return source


def overlap(one: Edit, other: Edit) -> bool:
    """Return whether the two edits touch the same text."""
    return one.file == other.file and one.start <= other.end and other.start <= one.end


LATER = 0.6
"""An operator yields the likeliest variant of a node first; each further one weighs this much of the last."""


@lru_cache(maxsize=256)
def candidates(file: str, source: bytes) -> tuple[Edit, ...]:
    """Return every edit of the file that an operator draws, none twice; none where it is not Python."""
    try:
        module = Module(file, source)
    except (SyntaxError, ValueError):
        return ()
    found: dict[Span, tuple[str, float]] = {}
    for site in module.sites():
        for operator, _ in OPERATORS:
            spans = (span for span in operator(site) if source[span[0] : span[1]].decode() != span[2])
            for rank, span in enumerate(spans):
                found.setdefault(span, (operator.__name__, LATER**rank))
    return _weighted(module, found)


def _weighted(module: Module, found: dict[Span, tuple[str, float]]) -> tuple[Edit, ...]:
    """Share each operator's weight on a line among its edits there."""
    places = {span: module.place(span[0]) for span in found}
    sums: dict[tuple[int, str], float] = {}
    for span, (operator, part) in found.items():
        key = (places[span][0], operator)
        sums[key] = sums.get(key, 0.0) + part
    weights = {operator.__name__: weight for operator, weight in OPERATORS}
    edits: list[Edit] = []
    for (start, end, after), (operator, part) in found.items():
        line, column = places[(start, end, after)]
        before = module.source[start:end].decode()
        share = weights[operator] * part / sums[(line, operator)]
        text = f"{module.file}:{line}:{column} {before!r} -> {after!r}"
        edits.append(Edit(module.file, start, end, line, column, before, after, operator, share, text))
    return tuple(edits)
