"""Files put in the places of others, all or none: also where it is interrupted, or killed in the middle.

What is replaced is moved into a folder beside git's own, with a journal of it. Who finds such a folder of a
process that is gone puts the files back.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

PREFIX = "tts-landing-"
JOURNAL = "moves.json"


@dataclass(frozen=True, slots=True)
class Put:
    """A file to be put at `path` (from the top): its content and mode, or None, which takes the file away."""

    path: str
    content: bytes | None
    mode: int = 0o644
    link: bool = False


def put_all(top: Path, store: Path, puts: Sequence[Put]) -> None:
    """Put all files in their places, or none; `store` is a folder on the same file system.

    SIGINT and SIGTERM wait until it is done.

    Raises:
        OSError: a file could not be written, and all is as it was.
    """
    with _signals_held(), _Journal.open(top, store, [put.path for put in puts]) as journal:
        try:
            for number in range(len(puts)):
                journal.keep(number)
            for number, put in enumerate(puts):
                journal.place(number, put)
        except BaseException:
            journal.back()
            raise
        journal.finish()


def recover(top: Path, store: Path) -> list[str]:
    """Put back what processes that are gone had moved and not finished; return the files."""
    found: list[str] = []
    for folder in sorted(store.glob(f"{PREFIX}*")):
        try:
            file = os.open(folder / JOURNAL, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            continue  # it is being made, or has come to its end
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            paths = json.loads((folder / JOURNAL).read_text())
            found += _Journal(top, folder, paths).back()
            shutil.rmtree(folder)
        finally:
            os.close(file)
    return found


@dataclass(frozen=True, slots=True)
class _Journal:
    """The files that are being replaced: the old one of number i is kept as `old-i` until all are done."""

    top: Path
    folder: Path
    paths: list[str]

    @classmethod
    @contextmanager
    def open(cls, top: Path, store: Path, paths: list[str]) -> Generator[_Journal]:
        """Yield a journal that is on the disk, and locked while this process lives."""
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=store))
        try:
            with (folder / "writing").open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                json.dump(paths, file)
                file.flush()
                os.fsync(file.fileno())
                (folder / "writing").rename(folder / JOURNAL)
                yield cls(top, folder, paths)
        finally:
            shutil.rmtree(folder)

    def keep(self, number: int) -> None:
        """Move the old file out of the way."""
        place = self.top / self.paths[number]
        if os.path.lexists(place):
            place.rename(self._old(number))

    def place(self, number: int, put: Put) -> None:
        """Put the new file there; the mark of it stands before, and `new-i` is gone after."""
        if put.content is None:
            return
        made = self._new(number)
        if put.link:
            made.symlink_to(os.fsdecode(put.content))
        else:
            made.write_bytes(put.content)
            made.chmod(put.mode)
        place = self.top / put.path
        place.parent.mkdir(parents=True, exist_ok=True)
        self._mark(number).touch()
        made.rename(place)

    def back(self) -> list[str]:
        """Put every old file back, last first; return the places that had been touched."""
        touched: list[str] = []
        for number in reversed(range(len(self.paths))):
            place, old = self.top / self.paths[number], self._old(number)
            if placed := self._mark(number).exists() and not os.path.lexists(self._new(number)):
                place.unlink(missing_ok=True)
                self._prune([self.paths[number]])
            if kept := os.path.lexists(old):
                place.parent.mkdir(parents=True, exist_ok=True)
                old.rename(place)
            touched += [self.paths[number]] * (placed or kept)
        return touched[::-1]

    def finish(self) -> None:
        """Say that all is done: from here on nothing is put back."""
        (self.folder / JOURNAL).unlink()
        self._prune(self.paths)

    def _old(self, number: int) -> Path:
        return self.folder / f"old-{number}"

    def _new(self, number: int) -> Path:
        return self.folder / f"new-{number}"

    def _mark(self, number: int) -> Path:
        return self.folder / f"put-{number}"

    def _prune(self, paths: Sequence[str]) -> None:
        """Take away the folders that have become empty, as git does."""
        for path in paths:
            for folder in (self.top / path).parents:
                if folder == self.top or not folder.is_dir() or any(folder.iterdir()):
                    break
                folder.rmdir()


@contextmanager
def _signals_held() -> Generator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # they come to the main thread only
        return
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        for missed in came:
            signal.raise_signal(missed)
