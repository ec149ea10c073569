"""Starts a command, hears what it prints, holds it to its time, and ends all of its processes."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL
from typing import Protocol

import anyio
from anyio import CancelScope
from anyio.abc import Process

from tts.errors import Infra
from tts.sandboxes.box import Ended, Order, Ran

LINE_BYTES = 1024 * 1024
"""The longest line that is told to `Order.heard`; the rest of a longer one is left out."""

GRACE_SECONDS = 0.5
"""How long a command that is stopped may take to end after SIGTERM."""

LATE_SECONDS = 2.0
"""How long the output is read after the last process has ended."""

Stop = Callable[[Ended], None]
Watch = Callable[[Stop], Awaitable[None]]
"""Looks after a running command and calls its argument to have it stopped."""


class Tree(Protocol):
    """The processes of one command."""

    def kill(self, number: int) -> bool:
        """Send a signal to every process that is left; False: none is left."""
        ...


@dataclass(frozen=True, slots=True)
class Launch:
    """How a command is started: `fds` are handed on, `env` is the whole environment."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path | None = None
    fds: Sequence[int] = ()


@dataclass(slots=True)
class Kept:
    """The head and the tail of a stream, at most `size` bytes together."""

    size: int
    lost: int = 0
    _head: bytearray = field(default_factory=bytearray)
    _tail: deque[bytes] = field(default_factory=deque[bytes])
    _n_tail: int = 0

    def take(self, data: bytes) -> None:
        """Add bytes to the end."""
        room = self.size // 2 - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if not data:
            return
        self._tail.append(data)
        self._n_tail += len(data)
        while self._n_tail - len(self._tail[0]) >= self.size - self.size // 2:
            self._n_tail -= len(self._tail[0])
            self.lost += len(self._tail.popleft())

    def text(self) -> str:
        """Return the text; a line between the two ends says how much is missing."""
        tail = b"".join(self._tail)
        over = max(0, len(tail) - (self.size - self.size // 2))
        self.lost += over
        self._tail, self._n_tail = deque([tail[over:]]), len(tail) - over
        gap = f"\n[... {self.lost} bytes left out ...]\n".encode() if self.lost else b""
        return (bytes(self._head) + gap + tail[over:]).decode("utf-8", "replace")


@dataclass(slots=True)
class Lines:
    """Cuts a stream into lines and tells each."""

    heard: Callable[[str], None]
    _rest: bytearray = field(default_factory=bytearray)

    def take(self, data: bytes) -> None:
        """Tell the lines that are whole by now."""
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._add(line)
            self.close(whole=True)
        self._add(rest)

    def close(self, *, whole: bool = False) -> None:
        """Tell what has no end yet."""
        if self._rest or whole:
            text = bytes(self._rest).removesuffix(b"\r").decode("utf-8", "replace")
            self._rest.clear()
            self.heard(text)

    def _add(self, data: bytes) -> None:
        self._rest += data[: LINE_BYTES - len(self._rest)]


async def carry_out(order: Order, launch: Launch, *, size: int, tree: Tree, watch: Watch) -> Ran:
    """Return what the command came to. Whatever happens, none of its processes is left.

    `size` is how many bytes of each stream are kept.

    Raises:
        Infra: the command could not be started.
    """
    began = time.monotonic()
    out, errors, ended = Kept(size), Kept(size), list[Ended]()
    lines = Lines(order.heard) if order.heard else None
    takers = [out.take, lines.take] if lines else [out.take]
    async with _pipes(2 if order.apart else 1) as (reads, writes):
        process = await _start(order, launch, writes)
        async with anyio.create_task_group() as listening:
            try:
                listening.start_soon(pump, reads[0], *takers)
                if order.apart:
                    listening.start_soon(pump, reads[1], errors.take)
                await _wait(process, order.seconds, ended, watch)
            finally:
                with CancelScope(shield=True):
                    await _end(process, tree, gently=process.returncode is None)
            listening.cancel_scope.deadline = anyio.current_time() + LATE_SECONDS
    if lines:
        lines.close()
    code = -signal.SIGKILL if ended else process.returncode
    return Ran(
        returncode=-signal.SIGKILL if code is None else code,
        output=out.text(),
        errors=errors.text(),
        ended=ended[0] if ended else "exited",
        seconds=time.monotonic() - began,
        lost_bytes=out.lost + errors.lost,
    )


async def pump(fd: int, *takers: Callable[[bytes], None]) -> None:
    """Hand on what a pipe brings, until its last writer has closed it."""
    os.set_blocking(fd, False)
    while True:
        await anyio.wait_readable(fd)
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            continue
        if not data:
            return
        for take in takers:
            take(data)


def filled(data: bytes) -> int:
    """Return the descriptor of an unnamed file that holds these bytes, to be read from its start."""
    fd = os.memfd_create("tts")
    with open(fd, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


@asynccontextmanager
async def _pipes(n: int) -> AsyncGenerator[tuple[list[int], list[int]]]:
    """Yield the ends to read and to write; the writing ends are closed by whoever hands them on."""
    pairs = [os.pipe() for _ in range(n)]
    reads, writes = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    try:
        yield reads, writes
    finally:
        for fd in (*reads, *writes):
            os.close(fd)
        writes.clear()


async def _start(order: Order, launch: Launch, writes: list[int]) -> Process:
    stdin = filled(order.stdin) if order.stdin else DEVNULL
    try:
        with CancelScope(shield=True):  # a start that is half cancelled would leave a process to nobody
            return await anyio.open_process(
                list(launch.argv),
                stdin=stdin,
                stdout=writes[0],
                stderr=writes[-1],
                cwd=launch.cwd,
                env=launch.env,
                start_new_session=True,
                pass_fds=launch.fds,
            )
    except (OSError, ValueError) as problem:
        raise Infra(f"cannot start a command: {problem}") from problem
    finally:
        if stdin != DEVNULL:
            os.close(stdin)
        while writes:
            os.close(writes.pop())


async def _wait(process: Process, seconds: float | None, ended: list[Ended], watch: Watch) -> None:
    """Wait until the command has ended, or must."""

    async def watched() -> None:
        await watch(stop)

    def stop(why: Ended) -> None:
        ended.append(why)
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(watched)
        with anyio.move_on_after(seconds) as timer:
            await process.wait()
        if timer.cancelled_caught:
            ended.append("timeout")
        group.cancel_scope.cancel()


async def _end(process: Process, tree: Tree, *, gently: bool) -> None:
    """End every process of a tree; one that is stopped early may tidy up first."""
    if gently:
        tree.kill(signal.SIGTERM)
        with anyio.move_on_after(GRACE_SECONDS):
            await process.wait()
    pause = 0.001
    while tree.kill(signal.SIGKILL):
        await anyio.sleep(pause)
        pause = min(0.05, pause * 2)
    if process.returncode is None:
        process.kill()
    await process.aclose()
