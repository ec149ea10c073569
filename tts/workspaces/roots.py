"""Folders that live as long as their process: what a killed one left is removed by the next."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
import threading
import time
import weakref
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tts.errors import Infra
from tts.workspaces.removal import remove

PREFIX = "tts-workspaces-"
NEW = "tts-new-"
OWNERS = ".owners"
"""The folder of a root with one locked file for each process that uses it."""

_OWNER = re.compile(r"[0-9a-f]{9,32}")
_FORGOTTEN = 3600.0
"""A root that nobody owns is swept once it is so many seconds old: it may be in the making."""


class Root:
    """A folder for one process's attempts, shared with other processes where the user names it.

    What this process makes in it is named `KIND-OWNER-…`. While it lives it holds a lock on a file of the
    owner's name; a name whose lock is free belongs to a process that is no more. `path` None stands for a
    temporary folder that is removed with this object.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.owner = f"{os.getpid():x}{secrets.token_hex(4)}"
        self._given = path.resolve() if path is not None else None
        self._path: Path | None = None
        self._door = threading.Lock()
        self._lock: IO[bytes] | None = None

    def opened(self) -> Path:
        """Return the folder; the first to ask makes it, and removes what others left.

        Raises:
            Infra: it cannot be made.
        """
        with self._door:
            if self._path is None:
                try:
                    self._path = self._made()
                except OSError as problem:
                    raise Infra(f"cannot make a folder for workspaces: {problem}") from problem
            return self._path

    def place(self, kind: str) -> Path:
        """Return a new private folder of this process.

        Raises:
            Infra: it cannot be made.
        """
        try:
            return Path(tempfile.mkdtemp(prefix=f"{kind}-{self.owner}-", dir=self.opened()))
        except OSError as problem:
            raise Infra(f"cannot make a folder for an attempt: {problem}") from problem

    def _made(self) -> Path:
        if self._given is not None:
            self._given.mkdir(parents=True, exist_ok=True)
            self._lock = _owned(self._given, self.owner)
            sweep(self._given)
            weakref.finalize(self, _left, self._given, self.owner, self._lock)
            return self._given
        parent = Path(tempfile.gettempdir())
        for other in (*parent.glob(f"{PREFIX}*"), *parent.glob(f"{NEW}*")):
            sweep_root(other)
        draft = Path(tempfile.mkdtemp(prefix=NEW, dir=parent))
        self._lock = _owned(draft, self.owner)
        root = draft.rename(parent / f"{PREFIX}{self.owner}").resolve()
        weakref.finalize(self, _gone, root, self._lock)
        return root


def _owned(root: Path, owner: str) -> IO[bytes]:
    """Return the open, locked file by which others see that the owner lives."""
    (root / OWNERS).mkdir(exist_ok=True)
    while True:
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.fdopen(os.open(root / OWNERS / owner, flags, 0o600), "wb")
        fcntl.flock(file, fcntl.LOCK_EX)
        if _is_at(file, root / OWNERS / owner):
            return file
        file.close()  # swept between the two


def _is_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except FileNotFoundError:
        return False


def _left(root: Path, owner: str, lock: IO[bytes]) -> None:
    (root / OWNERS / owner).unlink(missing_ok=True)
    lock.close()


def _gone(root: Path, lock: IO[bytes]) -> None:
    shutil.rmtree(root, ignore_errors=True)
    lock.close()


def sweep(root: Path) -> None:
    """Remove what processes that are no more left in a folder."""
    for owner in _dead(root):
        for folder in root.glob(f"*-{owner}-*"):
            remove(folder)
        (root / OWNERS / owner).unlink(missing_ok=True)


def sweep_root(root: Path) -> None:
    """Remove a temporary folder all of whose owners are no more; another user's is left alone."""
    try:
        about = root.lstat()
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
            return
        owners = os.listdir(root / OWNERS) if (root / OWNERS).exists() else []
        forgotten = not owners and time.time() - about.st_mtime > _FORGOTTEN
        if forgotten or (owners and len(list(_dead(root))) == len(owners)):
            remove(root)
    except OSError:
        return


def _dead(root: Path) -> Iterator[str]:
    """Yield the owners whose lock is free; what is no file of an owner's is left alone."""
    try:
        names = os.listdir(root / OWNERS)
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in filter(_OWNER.fullmatch, names):
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(root / OWNERS / name, flags), "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                free = stat.S_ISREG(os.fstat(file.fileno()).st_mode) and _is_at(file, root / OWNERS / name)
        except OSError:  # it is gone, or held, or a link or pipe that somebody put there
            continue
        if free:
            yield name


_shared = Root()


@contextmanager
def scratch_folder(kind: str) -> Generator[Path]:
    """Yield an empty private folder; what a process that was killed left of it is removed by the next.

    Raises:
        Infra: it cannot be made.
    """
    place = _shared.place(kind)
    try:
        yield place
    finally:
        remove(place)
