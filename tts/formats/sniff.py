"""Says what a file is by its content, and reads whatever holds attempts, one file at a time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tts.errors import UsageError
from tts.formats import atif, inspect_log, mini, preds, sweagent
from tts.formats.files import MAX_FILE_BYTES, digest_of, mapping, opened, parsed, read_bytes, shown
from tts.formats.recorded import Recorded

Kind = Literal["mini", "sweagent", "preds", "atif", "inspect", ""]

MAX_TOTAL_BYTES = 64 << 30
"""The most bytes that one import reads."""

MAX_FILES = 1_000_000
"""The most files that a folder may have."""

ENDINGS = (".traj.json", ".traj", ".eval", ".json", ".jsonl")

WANTED = (
    "wanted: mini-swe-agent's .traj.json, SWE-agent's .traj, preds.json or .jsonl, ATIF, or a log of Inspect"
)

_KINDS: tuple[tuple[Kind, Callable[[object], bool]], ...] = (
    ("atif", atif.is_atif),
    ("mini", mini.is_mini),
    ("inspect", inspect_log.is_log),
    ("sweagent", sweagent.is_sweagent),
    ("preds", preds.is_preds),
)


@dataclass(slots=True)
class Told:
    """What a reading passed over: one sentence each, with how often."""

    notes: dict[str, int] = field(default_factory=dict[str, int])

    def note(self, sentence: str) -> None:
        """Count a sentence once more."""
        self.notes[sentence] = self.notes.get(sentence, 0) + 1


def kind_of(document: object) -> Kind:
    """Return what a JSON document is, empty where it is nothing known."""
    for kind, holds in _KINDS:
        if holds(document):
            return kind
    return ""


def read(
    paths: Sequence[Path],
    told: Told | None = None,
    known: Callable[[str], Collection[str]] = lambda digest: (),
) -> Iterator[Recorded]:
    """Return the attempts in files and folders, in the order of their names, one file in memory at a time.

    In a folder links are not followed, what holds no attempts is passed over, and so are predictions on tasks
    of which it has trajectories: those are the same attempts. `known` gives the tasks of a file that needs no
    reading, by its digest. What was passed over is noted in `told`.

    Raises:
        UsageError: a file that is named holds no attempts, one is broken, or a limit is passed.
    """
    notes = Told() if told is None else told
    left = [MAX_TOTAL_BYTES]
    for path in paths:
        try:
            found = path.resolve(strict=True)
        except (OSError, ValueError, RuntimeError):
            raise UsageError(f"there is nothing at {shown(path)}; {WANTED}") from None
        if found.is_dir():
            yield from _folder(found, notes, known, left)
        else:
            yield from _file(found, notes, known, left)


def _folder(
    root: Path, told: Told, known: Callable[[str], Collection[str]], left: list[int]
) -> Iterator[Recorded]:
    seen: set[str] = set()
    predictions: list[Path] = []
    for path in _files(root, told):
        for found in _file(path, told, known, left, later=predictions, seen=seen):
            seen.add(found.task_id)
            yield found
    for path in predictions:
        for found in _file(path, told, known, left):
            if found.task_id not in seen:
                yield found
            else:
                told.note("predictions passed over, as the folder has the trajectories that they come from")


def _files(root: Path, told: Told) -> Iterator[Path]:
    """Return a folder's files that may hold attempts, sorted, without following links."""
    n_files = 0
    for place, folders, names in os.walk(root):
        folders.sort()
        # The retry agent of SWE-agent keeps each attempt beside the file that holds them all.
        if any(name.endswith(".traj") for name in names):
            folders[:] = [name for name in folders if not name.startswith("attempt_")]
        n_files += len(names)
        if n_files > MAX_FILES:
            raise UsageError(f"{shown(root)} has more than {MAX_FILES:,} files")
        for path in sorted((Path(place) / name for name in names), key=_by_number):
            if path.name.endswith(ENDINGS):
                if path.is_symlink():
                    told.note("links passed over")
                else:
                    yield path


def _by_number(path: Path) -> tuple[int, str]:
    stem = path.name.partition(".")[0]
    return (int(stem) if stem.isascii() and stem.isdigit() and len(stem) < 10 else -1, path.name)


def _file(
    path: Path,
    told: Told,
    known: Callable[[str], Collection[str]],
    left: list[int],
    *,
    later: list[Path] | None = None,
    seen: set[str] | None = None,
) -> Iterator[Recorded]:
    """Return a file's attempts; of a file in a folder, predictions go to the list `later` instead.

    The tasks of a file that needs no reading are added to `seen`.
    """
    with opened(path) as file:
        is_archive = file.read(4) == b"PK\x03\x04"
        size = os.fstat(file.fileno()).st_size
    left[0] -= size
    if left[0] < 0:
        raise UsageError(f"one import reads at most {MAX_TOTAL_BYTES >> 30} GiB; import the rest by itself")
    if is_archive:
        digest = _digest_of_archive(path)
        attempts: Iterator[Recorded] = inspect_log.read_archive(path)
    else:
        body = read_bytes(path, MAX_FILE_BYTES)
        digest = digest_of(body)
        attempts = iter(()) if known(digest) else _attempts(body, path, told, later)
    if known(digest):
        told.note("files that were imported before")
        if seen is not None:
            seen.update(known(digest))
        return
    for found in attempts:
        yield replace(found, source=digest)


def _attempts(body: bytes, path: Path, told: Told, later: list[Path] | None) -> Iterator[Recorded]:
    name = shown(path.name)
    lines = path.name.endswith(".jsonl")
    document: Any = parsed(body.partition(b"\n")[0] if lines else body, name) if body.strip() else None
    kind: Kind = ("preds" if preds.is_preds(document) else "") if lines else kind_of(document)
    if kind == "":
        if later is None:
            raise UsageError(f"{name} holds no attempts; {WANTED}")
        told.note("files that hold no attempts passed over")
    elif kind == "preds" and later is not None:
        later.append(path)
    elif kind == "preds":
        yield from preds.read(body, path.name)
    elif kind == "mini":
        yield mini.read(mapping(document), path)
    elif kind == "atif":
        yield atif.read(mapping(document), path)
    elif kind == "sweagent":
        yield from sweagent.read(mapping(document), path)
    else:
        yield from inspect_log.read(mapping(document), name)


def _digest_of_archive(path: Path) -> str:
    found = hashlib.sha256()
    with opened(path) as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            found.update(piece)
    return found.hexdigest()
