"""Where mounts may stand in a box: only where its commands cannot move or replace what leads to them.

A mount point is found by its path, so a link that a command left on the way would lead to another place, and
while a box is set up also to places of the host.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import permutations
from pathlib import Path, PurePosixPath

from tts.errors import Infra, UsageError
from tts.sandboxes.box import INSIDE, Mount
from tts.sandboxes.processes import Unrunnable
from tts.sandboxes.setting import pythons

HOME, TMP = "/home/agent", "/tmp"

NOWHERE = Path("/nonexistent")
SYSTEM = Mount(Path("/usr"))

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_REPLACED = (errno.ENOTDIR, errno.ELOOP)


def shown(mounts: Sequence[Mount], at: str, workspace: Path) -> list[Mount]:
    """Return all that a box shows beside the system, in order: the workspace, this Python and the mounts."""
    own = (settled(Mount(path)) for path in pythons() if not path.is_relative_to(SYSTEM.source))
    return [Mount(workspace, at, writable=True), *own, *mounts]


def check(mounts: Sequence[Mount], at: str = INSIDE, workspace: Path = NOWHERE) -> None:
    """Check mounts before a box is opened around a workspace that is shown at `at`.

    Raises:
        UsageError: a source is missing, a target is no full path, would hide the workspace, HOME or /tmp, or
            could be moved by a command; or this Python lies where the workspace is to be.
    """
    for mount in mounts:
        if not mount.source.exists():
            raise UsageError(f"cannot mount {mount.source}: there is no such file or folder")
    for target in (at, *(mount.seen for mount in mounts)):
        if not target.startswith("/") or target.strip("/") == "" or ".." in PurePosixPath(target).parts:
            raise UsageError(f"a place in the sandbox is a full path other than /, not {target!r}")
    if any(_within(str(path), at) for path in pythons()):
        raise UsageError(
            f"tts runs on a Python in {at}, where a box shows the workspace: install tts elsewhere"
        )
    for mount in mounts:
        if hidden := [place for place in (at, HOME, TMP) if _within(place, mount.seen)]:
            raise UsageError(f"cannot mount {mount.source} at {mount.seen}: it would hide {hidden[0]}")
    for inner, outer in permutations([*shown(mounts, at, workspace), SYSTEM], 2):
        if why := _clash(inner, outer):
            raise UsageError(f"cannot mount {inner.source} at {inner.seen}: {why}")


def settled(mount: Mount) -> Mount:
    """Return a mount whose source has no links on its way, which a command could turn elsewhere."""
    return Mount(mount.source.resolve(), mount.seen, mount.writable)


def _clash(inner: Mount, outer: Mount) -> str:
    """Return why one mount cannot stand in the other, or nothing."""
    source, holder = inner.source.resolve(), outer.source.resolve()
    if outer.writable and source != holder and source.is_relative_to(holder):
        return (
            f"commands can write in {outer.source}, which holds it; mount that one read-only, or less of it"
        )
    if inner.seen == outer.seen or not _within(inner.seen, outer.seen):
        return ""
    if outer.writable:
        return (
            f"commands can write in {outer.seen} and could move it; name another place, as in PATH:/opt/name"
        )
    inside = os.path.relpath(inner.seen, outer.seen)
    return "" if (holder / inside).exists() else f"there is no {inside} in {outer.source}, which is read-only"


def _within(path: str, folder: str) -> bool:
    return PurePosixPath("/", path.lstrip("/")).is_relative_to(PurePosixPath("/", folder.lstrip("/")))


def held(mounts: Iterable[Mount], roots: Mapping[str, Path]) -> dict[str, Path]:
    """Make the places of mounts below folders that commands can write; return what lies on the way to them.

    `roots` and the result tell which folder of the host is seen at a path. Each of the result is to be bound
    onto itself, outer ones first: it is a mount point then, and nobody can move or replace it from inside.

    Raises:
        Unrunnable: something else was put there all the same.
        Infra: the disk refuses.
    """
    ways: dict[str, Path] = {}
    for mount in mounts:
        for root, place in roots.items():
            if not _within(mount.seen, root):
                continue
            inner = PurePosixPath(os.path.relpath(mount.seen, root))
            try:
                _make(place, inner.parts, folder=mount.source.is_dir())
            except OSError as problem:
                kind = Unrunnable if problem.errno in _REPLACED else Infra
                raise kind(f"the place of the mount {mount.seen} cannot be had: {problem}") from problem
            for way in reversed(inner.parents[:-1]):
                ways[str(PurePosixPath(root, way))] = place / way
    return ways


def _make(place: Path, parts: Sequence[str], *, folder: bool) -> None:
    """Make folders, or folders and a file, where they are not there yet; no link is followed."""
    at = os.open(place, _FOLDER)
    try:
        for n, name in enumerate(parts, 1):
            as_folder = folder or n < len(parts)
            with suppress(FileExistsError):
                if as_folder:
                    os.mkdir(name, 0o700, dir_fd=at)
            found = os.open(name, _FOLDER if as_folder else _FILE, 0o600, dir_fd=at)
            os.close(at)
            at = found
    finally:
        os.close(at)
