"""Locks on files, between processes and tasks."""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio


@asynccontextmanager
async def locked(path: Path, *, shared: bool = False) -> AsyncGenerator[None]:
    """Hold a lock on a file, alone or with others who share it; wait for it first."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        pause = 0.01
        while not _taken(fd, kind):
            await anyio.sleep(pause)
            pause = min(0.5, 1.5 * pause)
        yield
    finally:
        os.close(fd)


@asynccontextmanager
async def free(path: Path) -> AsyncGenerator[bool]:
    """Hold a lock alone if nobody has it now; yields whether it is held."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield _taken(fd, fcntl.LOCK_EX)
    finally:
        os.close(fd)


def _taken(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
