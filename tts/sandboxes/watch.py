"""Watches what the kernel does not limit: the size on disk and, without control groups, all the rest."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import anyio
from anyio import CancelScope, to_thread

from tts.errors import Infra
from tts.sandboxes.box import Caps, Ended
from tts.sandboxes.groups import Run
from tts.sandboxes.table import read, resident_bytes
from tts.workspaces.removal import open_up, remove

TICK_SECONDS = 0.05
SHARE = 0.02
"""The part of the time that may go into measuring the folders of one box."""

LOSSY = 0.25
FILES = 200_000
CHEAP_SECONDS = 0.1
"""It is measured soon once the disk has lost so large a part of what is left, or of so many files; and after
each command where measuring takes less than this."""

FINEST = 16
"""A loss of less than so small a part of the limit is never measured at once, however little is left."""

OWN_BYTES = 64 * 1024
"""More than a sandbox itself holds open while it is made."""

IN_MEMORY = (b"/memfd:", b"/SYSV", b"/dev/zero", b"/dev/shm")
"""How the names of mapped files begin that are on no disk."""

LONGEST_SECONDS = 5.0
"""So long at most nobody looks, however long looking takes."""

TABLE_SHARE = 0.01
"""The part of a processor that may go into reading the table of processes for one box."""


@dataclass(slots=True)
class Meter:
    """Measures the folders of one box, seldom when that takes long."""

    caps: Caps
    folders: Sequence[Path]
    known: int = 0
    _cost: float = 0.0
    _at: float = 0.0
    _free: tuple[int, int] = (0, 0)

    def due(self) -> bool:
        """Whether to measure now: the disk has lost much since the last time, or a while has passed."""
        waited, lost = time.monotonic() - self._at, self._lost()
        if lost >= 1.0:
            return True
        return waited >= min(self._cost / SHARE, LONGEST_SECONDS) and (waited > 2.0 or lost >= LOSSY)

    def worth(self) -> bool:
        """Whether to measure once more after a command: it takes no time, or the disk has lost much."""
        return self._cost < CHEAP_SECONDS or self._lost() >= LOSSY

    def _lost(self) -> float:
        """Return what the disk has lost, by whomever, in parts of what the box may still use."""
        total = self.caps.total_bytes
        bytes_, files = _free(self.folders[0])
        left = max(total // FINEST, total - self.known)
        return max((self._free[0] - bytes_) / left, (self._free[1] - files) / FILES)

    async def measure(self, pids: Sequence[int]) -> None:
        """Measure now, with the files without a name that processes hold; cancelling does not wait for it.

        Raises:
            Infra: the measuring program is missing, or was killed.
        """
        began, free = time.monotonic(), _free(self.folders[0])
        self.known = await to_thread.run_sync(_size, self.folders, pids, abandon_on_cancel=True)
        self._at = time.monotonic()
        self._cost, self._free = self._at - began, free


async def metered(caps: Caps, folders: Sequence[Path]) -> Meter:
    """Return the meter of a box that has no command yet; what it holds already is nobody's doing.

    Raises:
        Infra: it cannot be measured.
    """
    meter = Meter(caps, folders)
    await meter.measure(())
    return meter


@dataclass(frozen=True, slots=True)
class Watch:
    """The watch over one command: `members` returns its processes, `before` is what its box held earlier."""

    meter: Meter
    run: Run
    members: Callable[[], Sequence[int]]
    before: int

    async def __call__(self, stop: Callable[[Ended], None]) -> None:
        """Call `stop`, which cancels this, with the limit that the command has passed, as soon as it has."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._look, stop)
            group.start_soon(self._measure, stop)

    async def _look(self, stop: Callable[[Ended], None]) -> None:
        while True:
            began = time.thread_time()  # a machine that is busy with others makes no look dear
            if why := self.passed(self._pids()):
                return stop(why)
            pause = (time.thread_time() - began) / TABLE_SHARE
            await anyio.sleep(min(max(TICK_SECONDS, pause), LONGEST_SECONDS))

    async def _measure(self, stop: Callable[[Ended], None]) -> None:
        while not self._has_grown:
            await anyio.sleep(TICK_SECONDS)
            if self.meter.due():
                await self.meter.measure(self._pids())
        stop("size")

    def _pids(self) -> Sequence[int]:
        return self.run.members() if self.run.folders else self.members()

    @property
    def _has_grown(self) -> bool:
        """Whether the box holds more than it may, and more than before the command."""
        return self.meter.known > max(self.meter.caps.total_bytes, self.before + OWN_BYTES)

    def passed(self, pids: Sequence[int]) -> Ended | None:
        """Return which limit on memory or processes has been passed, if any."""
        caps, missing = self.meter.caps, self.run.group.missing
        if hit := self.run.hit():
            return hit
        if "processes" in missing and len(pids) > caps.processes:
            return "processes"
        if "memory" in missing and resident_bytes(pids, caps.memory_bytes) > caps.memory_bytes:
            return "memory"
        return None

    async def after(self) -> Ended | None:
        """Return which limit a command passed, now that it has ended; what it left is not the next one's."""
        if self._has_grown or self.meter.worth():
            await self.meter.measure(())
        return self.run.hit() or ("size" if self._has_grown else None)


@asynccontextmanager
async def folder(workspace: Path, files: Mapping[str, str] = MappingProxyType({})) -> AsyncGenerator[Path]:
    """Yield a new folder beside the workspace with `home`, `tmp` and files in it; it is removed afterwards.

    Raises:
        Infra: it cannot be made or removed.
    """
    try:
        place = Path(tempfile.mkdtemp(prefix="box-", dir=workspace.parent))
        for name in ("home", "tmp"):
            (place / name).mkdir(mode=0o700)
        for name, text in files.items():
            (place / name).write_text(text)
    except OSError as problem:
        raise Infra(f"cannot make a folder beside the workspace: {problem}") from problem
    try:
        yield place
    finally:
        with CancelScope(shield=True):
            await to_thread.run_sync(remove, place)


def _free(place: Path) -> tuple[int, int]:
    """Return the free bytes of a disk, and how many files it can still hold."""
    try:
        disk = os.statvfs(place)
    except OSError:
        return 0, 0
    return disk.f_bfree * disk.f_frsize, disk.f_ffree


def _size(folders: Sequence[Path], pids: Sequence[int]) -> int:
    """Return the bytes on disk of folders, and of files without a name that processes hold open."""
    told, unread = _du(folders)
    if unread:  # a folder without its owner's rights hides nothing
        for place in folders:
            open_up(place)
        told, _ = _du(folders)
    return told + _nameless(pids)


def _du(folders: Sequence[Path]) -> tuple[int, bool]:
    """Return the bytes on disk, and whether a folder could not be read."""
    argv = ["du", "-skx", "--", *map(str, folders)]
    env = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, env=env, check=False)
    except OSError as problem:
        raise Infra(f"cannot measure a folder: {problem}") from problem
    if done.returncode < 0:
        raise Infra(f"cannot measure a folder: du was ended by signal {-done.returncode}")
    rows = [line.split(b"\t", 1)[0] for line in done.stdout.splitlines()]
    return sum(int(row) for row in rows if row.isdigit()) * 1024, b"Permission denied" in done.stderr


def _nameless(pids: Sequence[int]) -> int:
    """Return the bytes of files without a name that processes have open or mapped."""
    sizes: dict[tuple[int, int], int] = {}
    for pid in pids:
        for file, size in _mapped(pid).items():
            sizes[file] = max(size, sizes.get(file, 0))
        for name in _listed(f"/proc/{pid}/fd"):
            try:
                found = os.stat(name)
            except OSError:
                continue
            if found.st_nlink == 0 and stat.S_ISREG(found.st_mode):
                sizes[found.st_dev, found.st_ino] = found.st_blocks * 512
    return sum(sizes.values())


def _mapped(pid: int) -> dict[tuple[int, int], int]:
    """Return the files without a name that a process maps, with the bytes that it maps of each."""
    found: dict[tuple[int, int], int] = {}
    for row in read(pid, "maps").splitlines():
        words = row.split(maxsplit=5)
        if len(words) == 6 and words[5].endswith(b" (deleted)") and not words[5].startswith(IN_MEMORY):
            start, end = (int(part, 16) for part in words[0].split(b"-"))
            major, minor = (int(part, 16) for part in words[3].split(b":"))
            file = (os.makedev(major, minor), int(words[4]))
            found[file] = max(found.get(file, 0), int(words[2], 16) + end - start)
    return found


def _listed(place: str) -> list[str]:
    try:
        return [f"{place}/{name}" for name in os.listdir(place)]
    except OSError:
        return []
