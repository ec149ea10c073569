"""Reads the machine's table of processes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

PROC = "/proc"


def processes() -> Iterator[int]:
    """Yield the number of every process that can be seen."""
    return (int(name) for name in os.listdir(PROC) if name.isdigit())


def read(pid: int, name: str) -> bytes:
    """Return a file of a process, empty where the process has gone or belongs to somebody else."""
    try:
        return Path(PROC, str(pid), name).read_bytes()
    except OSError:
        return b""


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    state = read(pid, "stat").rpartition(b")")[2].split()
    return bool(state) and state[0] not in (b"Z", b"X")


def parent(pid: int) -> int:
    """Return the process that a process was started by; 0 where it has gone."""
    words = read(pid, "stat").rpartition(b")")[2].split()
    return int(words[1]) if len(words) > 1 else 0


def born(pid: int) -> str:
    """Return when a process began, in ticks since the machine's start; "" where it has gone."""
    words = read(pid, "stat").rpartition(b")")[2].split()
    return words[19].decode() if len(words) > 19 else ""


def marked(mark: bytes) -> set[int]:
    """Return the processes whose environment holds `NAME=value`."""
    return {pid for pid in processes() if mark in read(pid, "environ").split(b"\0")}


def descendants(roots: Iterable[int]) -> set[int]:
    """Return the living ones of these processes and of all that descend from them."""
    below: dict[int, list[int]] = {}
    dead: set[int] = set()
    for pid in processes():
        words = read(pid, "stat").rpartition(b")")[2].split()
        if len(words) > 1:
            below.setdefault(int(words[1]), []).append(pid)
            if words[0] in (b"Z", b"X"):
                dead.add(pid)
    found: set[int] = set()
    queue = list(roots)
    while queue:
        pid = queue.pop()
        if pid not in found:
            found.add(pid)
            queue += below.get(pid, [])
    return {pid for pid in found - dead if alive(pid)}


def resident_bytes(pids: Iterable[int], limit: int) -> int:
    """Return the memory of these processes; shared pages are told apart only where the sum passes a limit."""
    several = list(pids)
    page = os.sysconf("SC_PAGE_SIZE")
    total = 0
    for pid in several:
        words = read(pid, "statm").split()
        total += (int(words[1]) - int(words[2])) * page if len(words) > 2 else 0
        total += _kib(pid, "status", b"RssShmem:") * 1024
    return total if total <= limit else sum(map(_proportional_bytes, several))


def _proportional_bytes(pid: int) -> int:
    return _kib(pid, "smaps_rollup", b"Pss_Anon:", b"Pss_Shmem:") * 1024


def _kib(pid: int, file: str, *names: bytes) -> int:
    """Return the sum of some lines `NAME: number kB` of a file of a process."""
    return sum(int(line.split()[1]) for line in read(pid, file).splitlines() if line.startswith(names))


def send(pids: Iterable[int], number: int) -> None:
    """Send a signal to each process that is still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue
