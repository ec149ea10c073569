"""The warm process: forks a child per test run, and ends every child that outlives its time or its client.

It is started by path, `python -s -S -B zygote.py SOCKET SECONDS`, and imports nothing of tts but the
runner beside it.  A connection to the Unix socket is one run: the child reads the request from it and
writes the results to it; once the child is gone this process adds the line `exit STATUS` and shuts the
connection.  When standard input ends, everything ends.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

WARM = "ast bisect calendar collections contextlib copy dataclasses datetime enum functools heapq"
WARM_TOO = "itertools json math operator re string textwrap traceback typing"
"""Modules that small packages use: a child that finds them loaded starts in a millisecond."""

Children = dict[int, tuple[socket.socket, float]]
"""Process id to the connection and the monotonic time at which the child is killed."""


def load_runner() -> ModuleType:
    """Return the module `runner.py` beside this file, loaded by path so that no package is imported."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "runner.py")
    spec = spec_from_file_location("tts_demo_runner", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def serve(path: str, limit_seconds: float) -> None:
    """Serve test runs on the Unix socket `path` until standard input ends."""
    for name in (WARM + " " + WARM_TOO).split():
        __import__(name)
    runner = load_runner()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(256)
    woken = _wake_on_child()
    gc.collect()
    gc.freeze()
    os.write(1, b"ready\n")
    children: Children = {}
    try:
        _loop(listener, woken, children, runner, limit_seconds)
    finally:
        for pid in children:
            _kill(pid)
        for pid in children:
            os.waitpid(pid, 0)


def _wake_on_child() -> int:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    os.set_blocking(reader, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _ignore)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return reader


def _ignore(number: int, frame: object) -> None:
    """The wake-up is what counts; without a handler there would be none."""


def _loop(
    listener: socket.socket, woken: int, children: Children, runner: ModuleType, limit_seconds: float
) -> None:
    while True:
        ready = _wait(listener, woken, children)
        if 0 in ready and not os.read(0, 1):
            return
        if woken in ready:
            with suppress(BlockingIOError):
                os.read(woken, 4096)
        _reap(children)
        for pid, (connection, deadline) in children.items():
            if connection.fileno() in ready or time.monotonic() > deadline:
                _kill(pid)
        if listener.fileno() in ready:
            connection = listener.accept()[0]
            pid = _fork(connection, runner)
            children[pid] = (connection, time.monotonic() + limit_seconds)


def _wait(listener: socket.socket, woken: int, children: Children) -> set[int]:
    """Wait for a start, an end, a client that went away, or the next deadline."""
    poll = select.poll()
    for fd in (0, woken, listener.fileno()):
        poll.register(fd, select.POLLIN)
    for connection, _ in children.values():
        poll.register(connection, 0)  # a hang-up is always told
    deadline = min((deadline for _, deadline in children.values()), default=None)
    wait_ms = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000 + 1
    return {fd for fd, _ in poll.poll(wait_ms)}


def _reap(children: Children) -> None:
    for pid in list(children):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            continue
        _kill(pid)  # its group: what the tests started; the dead child still holds the number
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        connection, _ = children.pop(pid)
        with connection, suppress(OSError):
            connection.sendall(f"\nexit {status}\n".encode())
            connection.shutdown(socket.SHUT_RDWR)


def _fork(connection: socket.socket, runner: ModuleType) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            runner.main(connection.detach())
        finally:
            os._exit(0)
    return pid


def _kill(pid: int) -> None:
    for end in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            end(pid, signal.SIGKILL)


if __name__ == "__main__":
    serve(sys.argv[1], float(sys.argv[2]))
