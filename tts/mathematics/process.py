"""A process that compares answers: started when first asked, killed when it takes too long, used again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from threading import Lock

from tts.errors import UsageError

START_SECONDS = 120.0
PROGRAM = (sys.executable, "-P", "-W", "ignore", str(Path(__file__).with_name("worker.py")))


class Worker:
    """Asks a process that reads and answers lines of JSON. From any thread; one question at a time."""

    def __init__(self, seconds: float, program: Sequence[str] = PROGRAM) -> None:
        self._seconds = seconds
        self._program = [*program, str(seconds)]
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = Lock()

    def ask(self, first: str, second: str) -> bool | None:
        """Return what the process says of two answers; None where it comes to no end in time or dies of it.

        Raises:
            UsageError: the process does not start.
        """
        question = json.dumps([first, second]).encode() + b"\n"
        with self._lock:
            try:
                # Once more: it may have died of something else since it was last asked.
                for _ in range(2):
                    line = self._exchange(self._started(), question)
                    if line:
                        return bool(json.loads(line))
                    self._stop()
                    if line is None:
                        return None
            except BaseException:
                # The answer to this question must not be taken for the answer to the next one.
                self._stop()
                raise
        return None

    def stop(self) -> None:
        """End the process; the next question starts another."""
        with self._lock:
            self._stop()

    def _exchange(self, process: subprocess.Popen[bytes], question: bytes) -> bytes | None:
        """Return the answering line, b"" where the process has ended, None where the time has."""
        assert process.stdin
        try:
            process.stdin.write(question)
        except BrokenPipeError:
            return b""
        return _line(process, self._seconds)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                self._program, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, bufsize=0
            )
            told = _line(self._process, START_SECONDS)
            if told != b"ready\n":
                why = "it did not answer" if not told else told.decode(errors="replace").strip()
                raise UsageError(f"math-verify does not start: {why}")
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process:
            process.kill()
            # Leaving the context waits for the process and closes its pipes.
            with process:
                pass


def _line(process: subprocess.Popen[bytes], seconds: float) -> bytes | None:
    """Return the next line, b"" at the end of all lines, None where there is none in time."""
    assert process.stdout
    end, line = time.monotonic() + seconds, b""
    with DefaultSelector() as selector:
        selector.register(process.stdout, EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, end - time.monotonic())):
                return None
            part = os.read(process.stdout.fileno(), 4096)
            if not part:
                return b""
            line += part
    return line
