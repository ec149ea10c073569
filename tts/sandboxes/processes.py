"""Starts a command, hears what it prints, holds it to its time, and ends all of its processes."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from subprocess import DEVNULL
from typing import Protocol, cast

import anyio
from anyio import CancelScope
from anyio.abc import Process

from tts.errors import Infra
from tts.sandboxes.box import Ended, Order, Ran

LINE_BYTES = 1024 * 1024
"""The longest line that is told to `Order.heard`; the rest of a longer one is left out."""

READ_BYTES = 16 * 1024
"""So much is read and told at a time, before others have their turn."""

GRACE_SECONDS = 0.5
"""How long a command that is stopped may take to end after SIGTERM."""

LATE_SECONDS = 2.0
"""How long the output is read after the last process has ended."""

STUCK_SECONDS = 30.0
"""How long a process may survive SIGKILL, as it does while its disk or network does not answer."""

UNRUNNABLE = 126
"""The exit status of what cannot be run at all, as shells have it."""


class Watch(Protocol):
    """Looks after one command."""

    async def __call__(self, stop: Callable[[Ended], None]) -> None:
        """Call `stop` when the command has passed a limit."""
        ...

    async def after(self) -> Ended | None:
        """Return which limit a command has passed, now that it has ended."""
        ...


class Unrunnable(Exception):
    """A command that no machine could run, such as one with a NUL character in it."""


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

    heard: Callable[[str], None] | None
    _rest: bytearray = field(default_factory=bytearray)

    def take(self, data: bytes) -> None:
        """Tell the lines that are whole by now."""
        if self.heard is None:
            return
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._add(line)
            self.close(whole=True)
        self._add(rest)

    def close(self, *, whole: bool = False) -> None:
        """Tell what has no end yet."""
        if self.heard is not None and (self._rest or whole):
            text = bytes(self._rest).removesuffix(b"\r").decode("utf-8", "replace")
            self._rest.clear()
            self.heard(text)

    def _add(self, data: bytes) -> None:
        self._rest += data[: LINE_BYTES - len(self._rest)]


async def carry_out(order: Order, launch: Launch, *, size: int, tree: Tree, watch: Watch) -> Ran:
    """Return what the command came to. Whatever happens, none of its processes is left.

    `size` is how many bytes of each stream are kept.

    Raises:
        Infra: the command could not be started, or a process of it cannot be ended.
    """
    began = time.monotonic()
    out, errors, lines = Kept(size), Kept(size), Lines(order.heard)
    try:
        code, ended = await _heard(order, launch, (out, errors, lines), tree, watch)
    except Unrunnable as problem:
        return Ran(UNRUNNABLE, f"cannot run this command: {problem}\n")
    lines.close()
    passed = await watch.after()
    return Ran(
        returncode=code,
        output=out.text(),
        errors=errors.text(),
        ended=ended or passed or "exited",
        seconds=time.monotonic() - began,
        lost_bytes=out.lost + errors.lost,
    )


async def _heard(
    order: Order, launch: Launch, ears: tuple[Kept, Kept, Lines], tree: Tree, watch: Watch
) -> tuple[int, Ended | None]:
    """Return the exit status and why the command was stopped, if it was."""
    out, errors, lines = ears
    ended: Ended | None = None
    open_ears = CancelScope(shield=True)  # what is said on the way out is heard, also when cancelled
    with _pipes(2 if order.apart else 1) as (reads, writes), _alone():
        process = await _start(order, launch, writes)
        async with anyio.create_task_group() as listening:
            try:
                listening.start_soon(_listen, open_ears, reads, (out, errors, lines))
                ended = await _wait(process, order.seconds, watch)
            finally:
                with CancelScope(shield=True):
                    await _end(process, tree, gently=process.returncode is None)
                open_ears.deadline = anyio.current_time() + LATE_SECONDS
    stopped = ended is not None or process.returncode is None
    return -signal.SIGKILL if stopped else process.returncode or 0, ended


async def _listen(until: CancelScope, reads: Sequence[int], ears: tuple[Kept, Kept, Lines]) -> None:
    """Hear all streams to their ends, or until the scope is cancelled."""
    out, errors, lines = ears
    with until:
        async with anyio.create_task_group() as pumps:
            pumps.start_soon(pump, reads[0], out.take, lines.take)
            for fd in reads[1:]:
                pumps.start_soon(pump, fd, errors.take)


@contextmanager
def _alone() -> Generator[None]:
    """Raise an error that came alone as itself, and not in a group."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise _only(group) from None


def _only(error: BaseException) -> BaseException:
    if not isinstance(error, BaseExceptionGroup):
        return error
    group = cast("BaseExceptionGroup[BaseException]", error)
    first, *others = group.exceptions
    return group if others else _only(first)


async def pump(fd: int, *takers: Callable[[bytes], None]) -> None:
    """Hand on what a pipe brings, until its last writer has closed it."""
    os.set_blocking(fd, False)
    while True:
        await anyio.wait_readable(fd)
        try:
            data = os.read(fd, READ_BYTES)
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


@contextmanager
def _pipes(n: int) -> Generator[tuple[list[int], list[int]]]:
    """Yield the ends to read and to write; the writing ends are closed by whoever hands them on."""
    pairs = [os.pipe() for _ in range(n)]
    reads, writes = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    try:
        yield reads, writes
    finally:
        for fd in (*reads, *writes):
            os.close(fd)


async def _start(order: Order, launch: Launch, writes: list[int]) -> Process:
    stdin = filled(order.stdin) if order.stdin else DEVNULL
    process: Process | None = None
    try:
        with CancelScope(shield=True):  # a start that is half cancelled would leave a process to nobody
            process = await anyio.open_process(
                list(launch.argv),
                stdin=stdin,
                stdout=writes[0],
                stderr=writes[-1],
                env=launch.env,
                start_new_session=True,
                pass_fds=launch.fds,
            )
    except ValueError as problem:  # a NUL character, or text that is no text
        raise Unrunnable(str(problem)) from problem
    except OSError as problem:
        if problem.errno == errno.E2BIG:
            raise Unrunnable("it is too long") from problem
        raise Infra(f"cannot start a command: {problem}") from problem
    finally:
        if stdin != DEVNULL:
            os.close(stdin)
        while writes:
            os.close(writes.pop())
    assert process is not None
    return process


async def _wait(process: Process, seconds: float | None, watch: Watch) -> Ended | None:
    """Return when the command has ended, or with the reason why it must."""
    ended: list[Ended] = []

    def stop(why: Ended) -> None:
        ended.append(why)
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(watch, stop)
        with anyio.move_on_after(seconds) as timer:
            await process.wait()
        if timer.cancelled_caught and not ended:
            ended.append("timeout")
        group.cancel_scope.cancel()
    return ended[0] if ended else None


async def _end(process: Process, tree: Tree, *, gently: bool) -> None:
    """End every process of a tree; one that is stopped early may tidy up first."""
    if gently:
        tree.kill(signal.SIGTERM)
        with anyio.move_on_after(GRACE_SECONDS):
            await process.wait()
    await _kill(tree)
    if process.returncode is None:
        process.kill()
    await process.aclose()
    await _kill(tree)  # what a process had begun to start when it was killed


async def _kill(tree: Tree) -> None:
    pause, until = 0.001, anyio.current_time() + STUCK_SECONDS
    while tree.kill(signal.SIGKILL):
        if anyio.current_time() > until:
            raise Infra("a process of a command does not end; the machine may have to be looked after")
        await anyio.sleep(pause)
        pause = min(0.05, pause * 2)
