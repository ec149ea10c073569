"""Reads git patches: files, hunks, and what they take away and put in."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hunk:
    """One hunk of a diff. `heading` is what follows the `@@`; each line keeps its mark, ` `, `-` or `+`."""

    heading: str
    lines: tuple[str, ...]

    def marked(self, mark: str) -> tuple[str, ...]:
        """Return the lines with that mark, without it."""
        return tuple(line[1:] for line in self.lines if line[:1] == mark)


@dataclass(frozen=True, slots=True)
class FileDiff:
    """What a diff does to one file. `path` is the new one, the old one where the file is deleted.

    `notes` are the header's lines on modes, renames, copies, new and deleted files; all of the header
    where the file is binary, since nothing else tells its contents.
    """

    path: str
    notes: tuple[str, ...] = ()
    hunks: tuple[Hunk, ...] = ()

    @property
    def deleted(self) -> bool:
        """Whether the file is removed."""
        return any(note.startswith("deleted file") for note in self.notes)


_HUNK = re.compile(r"@@ -\d{1,9}(?:,(\d{1,9}))? \+\d{1,9}(?:,(\d{1,9}))? @@ ?(.*)")
_NOTE = re.compile(
    r"(?:old mode|new mode|new file|deleted file|(?:rename|copy) (?:from|to)|Binary files|GIT binary)\b.*"
)


def parse_patch(patch: str) -> list[FileDiff]:
    """Return what a unified diff does to each file, in its order; what is no diff gives an empty list."""
    return [file for file in map(_file_diff, _by_file(patch)) if file.notes or file.hunks]


def _by_file(patch: str) -> Iterator[list[str]]:
    """Yield each file's lines; counts in hunk headers keep a removed `-- x` apart from a file header."""
    lines = [line.removesuffix("\r") for line in patch.split("\n")]
    current: list[str] = []
    old = new = 0
    for line in lines:
        in_hunk = (old > 0 or new > 0) and not line.startswith("diff --git ")
        if not in_hunk and _starts_file(line, current):
            yield current
            current, old, new = [], 0, 0
        current.append(line)
        if in_hunk:
            old -= line[:1] in (" ", "-", "")
            new -= line[:1] in (" ", "+", "")
        elif match := _HUNK.match(line):
            old, new = int(match[1] or 1), int(match[2] or 1)
    yield current


def _starts_file(line: str, current: list[str]) -> bool:
    if line.startswith("diff --git "):
        return True
    return line.startswith("--- ") and any(seen.startswith("+++ ") for seen in current)


def _file_diff(lines: list[str]) -> FileDiff:
    starts = [i for i, line in enumerate(lines) if _HUNK.match(line)]
    header = lines[: starts[0]] if starts else lines
    hunks = tuple(_hunk(lines[a:b]) for a, b in itertools.pairwise([*starts, len(lines)]))
    notes = [line for line in header if _NOTE.match(line)]
    if any(note.startswith(("Binary", "GIT binary")) for note in notes):
        notes = [line for line in header if line]
    path, gone = _path(header)
    if gone and not any(note.startswith("deleted file") for note in notes):
        notes.append("deleted file")
    return FileDiff(path=path, notes=tuple(notes), hunks=hunks)


def _hunk(lines: list[str]) -> Hunk:
    match = _HUNK.match(lines[0])
    return Hunk(match[3] if match else "", tuple(line for line in lines[1:] if line[:1] in (" ", "-", "+")))


def _path(header: list[str]) -> tuple[str, bool]:
    """Return the file's path, and whether the header says that nothing is left of it."""
    named = {line[:4]: line[4:].split("\t")[0].strip() for line in header if line[:4] in ("--- ", "+++ ")}
    new, old = named.get("+++ ", ""), named.get("--- ", "")
    if new == "/dev/null":
        return old.removeprefix("a/"), True
    if new:
        return new.removeprefix("b/"), False
    first = next((line for line in header if line.startswith("diff --git ")), "")
    return first.rpartition(" b/")[2].strip() if " b/" in first else "", False
