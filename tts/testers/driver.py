"""What runs tests inside a sandbox: a program of its own, that needs nothing but Python 3.7.

It reads a JSON object from standard input: `cases` with `code`, `path` and `command`, the `program` that
they are about ("": what lies in the working directory), `seconds` for each case and `size`, the characters
of output that are kept. For each case it prints a JSON line: `status` (as `tts.suites.TestStatus`), `output`.

A Python case has passed where it came to its end without an exception. The last thing that its process does
is to write a word that it was given on a pipe, so a program that ends the process early, with whatever
status, has not passed. A program that searches its own process for that word can still cheat.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from typing import IO, Any, NoReturn


def main() -> None:
    """Run what is asked."""
    asked = json.loads(sys.stdin.buffer.read().decode())
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    for case in asked["cases"]:
        status, output = run(case, asked)
        sys.stdout.write(json.dumps({"status": status, "output": output}) + "\n")
        sys.stdout.flush()


def run(case: dict[str, str], asked: dict[str, Any]) -> tuple[str, str]:
    """Return how a case ended, and the end of what it printed."""
    word = os.urandom(16).hex().encode()
    heard, told = os.pipe()
    with tempfile.TemporaryFile() as printed:
        child = os.fork()
        if not child:
            os.close(heard)
            attempt(case, asked["program"], printed.fileno(), told, word)
        os.close(told)
        status = waited(child, asked["seconds"])
        said = read(heard)
        end = "timeout" if status == "timeout" else verdict(status, said == word, bool(case["command"]))
        return end, kept(printed, asked["size"])


def verdict(status: int | str, ended: bool, is_command: bool) -> str:
    """Return the word for a wait status, given whether the test came to its end."""
    if is_command:
        return "passed" if status == 0 else "failed"
    if ended:
        return "passed"
    return "failed" if status == 1 << 8 else "error"


def waited(child: int, seconds: float) -> int | str:
    """Return the child's wait status, or "timeout"; nothing of its process group is left."""
    end = time.monotonic() + seconds
    found = 0, 0
    while not found[0]:
        left = end - time.monotonic()
        found = os.waitpid(child, os.WNOHANG)
        if not found[0] and (left <= 0 or signal.sigtimedwait([signal.SIGCHLD], left) is None):
            found = os.waitpid(child, os.WNOHANG)
            break
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    if found[0]:
        return found[1]
    os.waitpid(child, 0)
    return "timeout"


def read(heard: int) -> bytes:
    """Return what was told, and close the pipe."""
    os.set_blocking(heard, False)
    try:
        return os.read(heard, 64)
    except BlockingIOError:
        return b""
    finally:
        os.close(heard)


def kept(printed: IO[bytes], size: int) -> str:
    """Return the end of a file, in at most `size` characters."""
    length = printed.seek(0, io.SEEK_END)
    printed.seek(max(0, length - 4 * size))
    return printed.read().decode("utf-8", "replace")[-size:]


def attempt(case: dict[str, str], program: str, printed: int, told: int, word: bytes) -> NoReturn:
    """Become one test; never returns."""
    status = 1
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        if case["path"]:
            write(case["path"], case["code"])
        if case["command"]:
            os.execvp("sh", ["sh", "-c", case["command"]])
        status = execute(program, case["code"])
        sys.stdout.flush()
        if not status:
            os.write(told, word)
    except BaseException:  # noqa: BLE001 - the test has failed, however it did
        traceback.print_exc()
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    os._exit(status)


def execute(program: str, code: str) -> int:
    """Run the test behind the program; return its exit status, 0 where it came to its end."""
    sys.path[:0] = [os.getcwd(), os.path.join(os.getcwd(), "src")]
    sys.argv = ["test.py"]
    space: dict[str, Any] = {"__name__": "__main__"}
    try:
        if program:
            exec(compile(program, "solution.py", "exec"), space)
        exec(compile(code, "test.py", "exec"), space)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def write(path: str, code: str) -> None:
    """Write a file below the working directory, through no link."""
    place = os.path.realpath(os.path.dirname(path) or ".")
    if os.path.isabs(path) or (place + os.sep).find(os.getcwd() + os.sep) != 0:
        raise ValueError("a test lies below the working directory, not at " + path)
    os.makedirs(place, exist_ok=True)
    name = os.path.join(place, os.path.basename(path))
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with open(os.open(name, flags, 0o644), "w", encoding="utf-8") as file:
        file.write(code)


if __name__ == "__main__":
    main()
