"""The client of the warm test process: asks for test runs and reads their results."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import anyio
from anyio import CancelScope
from anyio.abc import Process

from tts.errors import Infra

ZYGOTE = Path(__file__).with_name("zygote.py")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run of tests may use.

    `test_seconds`: processor time of one test. `run_seconds`: processor time of the run, whole seconds.
    `memory_bytes`: address space of the process. The wall time of a run is `Harness`'s own limit.
    """

    test_seconds: float = 0.2
    run_seconds: int = 2
    memory_bytes: int = 512 * 2**20


LIMITS = Limits()
"""Enough for the tests of a small package."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one test ended, as the child that ran it wrote on its own connection.

    `message` is the error and what it says; `line` the line of the test file where it left (0: unknown);
    `trace` the places on the way, `file:line: source`; `lines` the covered lines per file, where asked.
    """

    id: str
    outcome: Literal["passed", "failed", "timeout", "crashed"]
    message: str = ""
    line: int = 0
    trace: tuple[str, ...] = ()
    output: str = ""
    lines: Mapping[str, Sequence[int]] = field(default_factory=dict[str, Sequence[int]])

    @property
    def passed(self) -> bool:
        """Whether the test passed."""
        return self.outcome == "passed"


@dataclass(frozen=True, slots=True)
class Report:
    """The outcomes of one run, in order, and the lines that ran while modules were imported."""

    outcomes: tuple[Outcome, ...]
    imported: Mapping[str, Sequence[int]] = field(default_factory=dict[str, Sequence[int]])

    @property
    def n_passed(self) -> int:
        """The number of tests that passed."""
        return sum(outcome.passed for outcome in self.outcomes)

    @property
    def passed(self) -> bool:
        """Whether there were tests and all passed."""
        return 0 < self.n_passed == len(self.outcomes)

    def log(self) -> str:
        """Return the text of a test runner's log: a line per test and a last line with the counts."""
        lines = [line for outcome in self.outcomes for line in _log_lines(outcome)]
        counts = [f"{self.n_passed} passed"] if self.n_passed else []
        n_failed = len(self.outcomes) - self.n_passed
        return "\n".join(
            [*lines, ", ".join(([f"{n_failed} failed"] if n_failed else []) + counts) or "no tests"]
        )


def _log_lines(outcome: Outcome) -> list[str]:
    if outcome.passed:
        return [f"PASSED {outcome.id}"]
    first = outcome.message.splitlines()[0] if outcome.message else outcome.outcome
    return [f"FAILED {outcome.id} - {first}", *(f"    {place}" for place in outcome.trace)]


class Harness:
    """Runs tests in children of the warm process, as many at once as the machine has processors."""

    def __init__(self, socket: Path, n_at_once: int) -> None:
        self.socket = socket
        self._slots = anyio.CapacityLimiter(n_at_once)

    async def run(
        self, directory: Path, tests: Sequence[str], *, coverage: bool = False, limits: Limits = LIMITS
    ) -> Report:
        """Return how the tests (files, or `file::name`) ended in `directory`; cancelling ends the run.

        Raises:
            Infra: the warm process is gone.
        """
        word = secrets.token_hex(16)
        request = {
            "word": word,
            "directory": str(directory),
            "tests": list(tests),
            "coverage": coverage,
            "cpu_seconds": limits.run_seconds,
            "memory_bytes": limits.memory_bytes,
            "test_seconds": limits.test_seconds * (4 if coverage else 1),  # tracing slows a test down
        }
        async with self._slots:
            text = await self._ask(json.dumps(request).encode() + b"\n")
        return _read(text, word, tests)

    async def _ask(self, request: bytes) -> str:
        try:
            async with await anyio.connect_unix(self.socket) as stream:
                await stream.send(request)
                return b"".join([part async for part in stream]).decode(errors="replace")
        except (OSError, anyio.BrokenResourceError) as error:
            raise Infra(f"the warm test process does not answer: {error}") from error


def _read(text: str, word: str, tests: Sequence[str]) -> Report:
    lines = text.splitlines()
    if not lines or not lines[-1].startswith("exit "):
        raise Infra("the warm test process ended during a run")
    records: list[dict[str, Any]] = [json.loads(line[len(word) :]) for line in lines if line.startswith(word)]
    planned = [test for record in records for test in record.get("plan", ())]
    done = {record["id"]: _outcome(record) for record in records if "id" in record}
    if not any("end" in record for record in records):
        planned += [test for test in tests if not any(seen.startswith(test) for seen in planned)]
    missing = _missing(int(lines[-1].split()[1]))
    outcomes = [done.get(test) or Outcome(test, *missing) for test in planned]
    return Report(tuple(outcomes), _merged(record["lines"] for record in records if "imported" in record))


def _outcome(record: dict[str, Any]) -> Outcome:
    trace = tuple(record.pop("trace", ()))
    return Outcome(trace=trace, **record)


def _missing(status: int) -> tuple[Literal["timeout", "crashed"], str]:
    """What is said of tests whose process ended before it told of them; -9 and -24 are the limits at work."""
    if status in (-9, -24):
        return "timeout", "out of time: the run was ended"
    return "crashed", f"the process ended with status {status} before the test did"


def _merged(parts: Any) -> Mapping[str, Sequence[int]]:
    lines: dict[str, set[int]] = {}
    for part in cast("list[dict[str, list[int]]]", list(parts)):
        for file, numbers in part.items():
            lines.setdefault(file, set()).update(numbers)
    return {file: sorted(numbers) for file, numbers in lines.items()}


@asynccontextmanager
async def warm_tests(*, run_seconds: float = 6.0, n_at_once: int | None = None) -> AsyncGenerator[Harness]:
    """Yield a harness over a fresh warm process; leaving ends it and all that it started.

    `run_seconds` is the longest wall time of one run.
    """
    with tempfile.TemporaryDirectory(prefix="tts-tests-") as folder:
        socket = Path(folder) / "socket"
        command = [sys.executable, "-s", "-S", "-B", "-P", str(ZYGOTE), str(socket), str(run_seconds)]
        process = await anyio.open_process(
            command,
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,
        )
        try:
            assert process.stdout is not None
            await process.stdout.receive()
            yield Harness(socket, n_at_once or os.cpu_count() or 1)
        except anyio.EndOfStream as error:
            raise Infra("the warm test process did not start") from error
        finally:
            with CancelScope(shield=True):
                await _end(process)


def _environment() -> dict[str, str]:
    """The same for every run: hashes, time zone and language must not make results differ."""
    fixed = {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
    return {**fixed, "PATH": os.environ.get("PATH", os.defpath)}


async def _end(process: Process) -> None:
    assert process.stdin is not None
    await process.stdin.aclose()
    with anyio.move_on_after(5):
        await process.wait()
    if process.returncode is None:
        process.kill()
    await process.aclose()
