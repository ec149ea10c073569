"""Cuts a trajectory into overlapping parts that fit one reading each, and knows what of it a reading covers.

All of it is laid out in a row: each section takes as many places as its text has bytes, and FRAME more for
the heading and the marks that it is shown with.  A part is a span of that row.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from tts.prompts.fence import plain
from tts.types import Rollout, Step

FRAME = 420
"""Bytes that the heading, labels and marks of a section take at most."""

Span = tuple[int, int]
"""From the first place of a part to the one after its last."""


@dataclass(frozen=True, slots=True)
class Section:
    """A step, or what is handed in: its texts with their labels, made plain, as UTF-8.

    `number` is the step's, None for what is handed in.
    """

    number: int | None
    title: str
    fields: tuple[tuple[str, bytes], ...]
    returncode: int | None = None

    @property
    def text_size(self) -> int:
        """Bytes of its texts."""
        return sum(len(text) for _, text in self.fields)

    @property
    def size(self) -> int:
        """Places that it takes."""
        return FRAME + self.text_size

    def between(self, start: int, stop: int) -> list[tuple[str, str]]:
        """Return what of its texts lies between two bytes, at whole characters; empty texts are left out."""
        found, at = list[tuple[str, str]](), 0
        for label, text in self.fields:
            first, last = _whole(text, start - at), _whole(text, stop - at)
            if first < last:
                found.append((label, text[first:last].decode()))
            at += len(text)
        return found


def _whole(text: bytes, at: int) -> int:
    """Return the place `at`, or the start of the character that it lies in."""
    at = min(max(at, 0), len(text))
    while 0 < at < len(text) and text[at] & 0xC0 == 0x80:
        at -= 1
    return at


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What a part shows of a section; `note` says which piece of it where it is not all."""

    section: Section
    fields: tuple[tuple[str, str], ...]
    note: str = ""


def sections(rollout: Rollout, steps: Sequence[Step]) -> list[Section]:
    """Return the steps and then what is handed in; every text of them is in some field."""
    found = [_step(i, step) for i, step in enumerate(steps)]
    for title, text in (("Final answer", rollout.answer), ("Final patch", rollout.patch)):
        if text:
            found.append(Section(None, title, ((title.split()[1], _bytes(text)),)))
    return found


def _step(number: int, step: Step) -> Section:
    texts = (("thought", step.thought), ("action", step.action), ("output", step.observation))
    fields = tuple((label, _bytes(text)) for label, text in texts if text)
    return Section(number, "", fields, step.returncode)


def _bytes(text: str) -> bytes:
    return plain(text).encode()


def spans(sizes: Sequence[int], room: int, overlap: int) -> list[Span]:
    """Return parts of at most `room` places that cover sections of these sizes laid in a row.

    A part ends where a section does, if one fits into it; only a section that is longer than `room` is cut.
    A part begins up to `overlap` places before the end of the one before, at the start of a section where
    one lies there; less where the next section would not fit otherwise.  `overlap` is below `room`.
    """
    ends = list(accumulate(sizes))
    total = ends[-1] if ends else 0
    found, start, stop = list[Span](), 0, 0
    while stop < total:
        boundary = ends[bisect_right(ends, start + room) - 1] if ends[0] <= start + room else 0
        stop = boundary if boundary > stop else start + room
        found.append((start, stop))
        if stop < total:
            start = _next_start(ends, stop, room, overlap)
    return found


def _next_start(ends: Sequence[int], stop: int, room: int, overlap: int) -> int:
    at = bisect_right(ends, stop)
    starts = [0, *ends[:-1]]
    lead = max(0, stop - overlap)
    if ends[at] - starts[at] <= room:
        lead = max(lead, min(stop, ends[at] - room))
    first = bisect_left(starts, lead)
    return starts[first] if first < len(starts) and starts[first] < stop else lead


@dataclass(frozen=True)
class Trajectory:
    """The sections laid in a row, and the spans that parts of at most `room` bytes make of it."""

    sections: Sequence[Section]
    room: int
    overlap: int

    @cached_property
    def starts(self) -> list[int]:
        """The place where each section begins."""
        return [0, *accumulate(section.size for section in self.sections)][:-1]

    @cached_property
    def spans(self) -> list[Span]:
        """All parts. A part that begins inside a section needs one frame more than its span has."""
        sizes = [section.size for section in self.sections]
        return spans(sizes, self.room - FRAME, self.overlap)

    def chosen(self, n: int) -> list[Span]:
        """Return the parts to read if at most `n` are: all, or the first and the last ones."""
        every = self.spans
        if len(every) <= n:
            return every
        return every[-1:] if n == 1 else [every[0], *every[len(every) - (n - 1) :]]

    def excerpts(self, span: Span) -> list[Excerpt]:
        """Return what a part shows."""
        found = list[Excerpt]()
        for i, start, stop in self._texts(span):
            section = self.sections[i]
            whole = (start, stop) == (0, section.text_size)
            fields = section.between(start, stop)
            if whole or fields:
                found.append(Excerpt(section, tuple(fields), "" if whole else self._piece(i, span)))
        return found

    def _texts(self, span: Span) -> Iterator[tuple[int, int, int]]:
        """Yield the number of each section that a span touches, and between which bytes of its text."""
        for i, section in enumerate(self.sections):
            place = self.starts[i]
            if place < span[1] and place + section.size > span[0]:
                start, stop = (
                    min(max(0, x - place - FRAME), section.text_size)
                    for x in (span[0], min(span[1], place + section.size))
                )
                yield i, start, stop

    def _piece(self, i: int, span: Span) -> str:
        place, size = self.starts[i], self.sections[i].size
        touching = [s for s in self.spans if s[0] < place + size and s[1] > place + FRAME]
        if any(s[0] <= place and s[1] >= place + size for s in touching):
            return "the end of it; another part shows all"
        return f"piece {touching.index(span) + 1} of {len(touching)}" if span in touching else "a piece of it"

    def steps(self, span: Span) -> set[int]:
        """Return the numbers of the steps of which a part shows something."""
        numbers = (excerpt.section.number for excerpt in self.excerpts(span))
        return {number for number in numbers if number is not None}

    def covered(self, read: Sequence[Span]) -> float:
        """Return the share of all text that some parts show, 0 to 1; 1 only where they show all."""
        total = sum(section.text_size for section in self.sections)
        return sum(self._shown(read)) / total if total else 1.0

    def unseen(self, read: Sequence[Span]) -> list[str]:
        """Return the names of the sections of which some text is in none of the parts."""
        pairs = zip(self.sections, self._shown(read), strict=True)
        return [_name(section) for section, n in pairs if n < section.text_size]

    def _shown(self, read: Sequence[Span]) -> list[int]:
        """Bytes of each section's text that the parts show, each byte once."""
        shown, until = [0] * len(self.sections), 0
        for span in sorted(read):
            for i, start, stop in self._texts((max(span[0], until), max(span[1], until))):
                shown[i] += stop - start
            until = max(until, span[1])
        return shown


def _name(section: Section) -> str:
    return section.title.lower() if section.number is None else str(section.number)


def named(names: Sequence[str]) -> str:
    """Return the names of sections in words, rows of step numbers short; "" for none.

    >>> named(["1", "2", "3", "7", "final patch"])
    'steps 1-3, 7 and the final patch'
    """
    numbers = [int(name) for name in names if name.isdigit()]
    rows = list[list[int]]()
    for number in numbers:
        if rows and number == rows[-1][1] + 1:
            rows[-1][1] = number
        else:
            rows.append([number, number])
    steps = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in rows)
    told = [f"step{'s' * (len(numbers) > 1)} {steps}"] if steps else []
    return " and ".join([*told, *(f"the {name}" for name in names if not name.isdigit())])
