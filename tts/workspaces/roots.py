"""Folders that live as long as their process: what a killed one left is removed by the next."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tts.errors import Infra
from tts.workspaces.removal import remove

PREFIX = "tts-workspaces-"
OWNERS = ".owners"
"""The folder of a root with one locked file for each process that uses it."""


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
        for other in parent.glob(f"{PREFIX}*"):
            sweep_root(other)
        draft = Path(tempfile.mkdtemp(prefix="tts-new-", dir=parent))
        self._lock = _owned(draft, self.owner)
        root = draft.rename(parent / f"{PREFIX}{self.owner}").resolve()
        weakref.finalize(self, _gone, root, self._lock)
        return root


def _owned(root: Path, owner: str) -> IO[bytes]:
    """Return the open, locked file by which others see that the owner lives."""
    (root / OWNERS).mkdir(exist_ok=True)
    file = (root / OWNERS / owner).open("wb")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


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
        ours = root.stat().st_uid == os.geteuid() and not root.is_symlink()
        owners = os.listdir(root / OWNERS) if ours else []
        if owners and len(list(_dead(root))) == len(owners):
            remove(root)
    except OSError:
        return


def _dead(root: Path) -> Iterator[str]:
    try:
        names = os.listdir(root / OWNERS)
    except FileNotFoundError:
        return
    for name in names:
        try:
            with (root / OWNERS / name).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            continue
        except BlockingIOError:
            continue
        yield name
