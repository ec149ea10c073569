"""Whether files that no test has to change are after a run what they were before it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True)
class State:
    """A file's kind and rights, its size in bytes, and the hash of its content or of a link's target."""

    mode: int
    size: int
    sha256: str


def states(tree: Path, paths: Iterable[str]) -> dict[str, State]:
    """Return the state of those files that are there; nothing that runs may still change them."""
    found = {path: _state(tree, path) for path in paths}
    return {path: state for path, state in found.items() if state is not None}


def changed(tree: Path, before: Mapping[str, State]) -> list[str]:
    """Return the files that are no longer what they were; no symlink is followed and no pipe opened."""
    return sorted(path for path, state in before.items() if _state(tree, path, state) != state)


def _state(tree: Path, path: str, expected: State | None = None) -> State | None:
    """Return the state of a file, None where it cannot be had or is sure to differ from what is expected."""
    place = tree / path
    try:
        if any((tree / parent).is_symlink() for parent in PurePosixPath(path).parents):
            return None
        told = place.lstat()
        if expected is not None and (told.st_mode, told.st_size) != (expected.mode, expected.size):
            return None
        return State(told.st_mode, told.st_size, _sha256(place, told.st_mode))
    except OSError:
        return None


def _sha256(place: Path, mode: int) -> str:
    if stat.S_ISLNK(mode):
        return hashlib.sha256(os.fsencode(os.readlink(place))).hexdigest()
    if not stat.S_ISREG(mode):
        return ""
    with place.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
