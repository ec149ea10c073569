"""A folder of recorded attempts: `pool.jsonl`, one line each, and `trajs/`, their trajectories as ATIF.

`tts replay` reads the lines and `tts.agents.recorded` the trajectories. `pool.id` is a name made at the first
import and never again, so that a pool keeps its identity while it grows.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from tts.errors import UsageError
from tts.formats import atif
from tts.formats.files import mapping, opened, parsed, read_bytes, replacing, shown, write_json
from tts.formats.names import escaped
from tts.formats.recorded import Recorded
from tts.types import RESULTS

LINES, NAME, TRAJECTORIES, LOCK = "pool.jsonl", "pool.id", "trajs", "pool.lock"

MAX_LINE_BYTES = 64 << 20
MAX_NAME_CHARACTERS = 1_000
MAX_OUTPUT_CHARACTERS = 4 << 20
"""The largest patch or answer that a recorded pool holds; `tts replay` reads none that is larger."""

_INSTANCE = re.compile(r"(?P<owner>[\w.-]+?)__(?P<name>[\w.-]+)-\d+")


def trajectory_path(folder: Path, task_id: str, sample: int) -> Path:
    """Return where a sample's trajectory is, whatever the task is called."""
    return folder / TRAJECTORIES / escaped(task_id) / f"{sample}.json"


def lines(folder: Path) -> Iterator[dict[str, Any]]:
    """Return the lines of a pool, as they are; none where there is no pool yet.

    Raises:
        UsageError: one is no JSON object, or has no `task_id` and `sample`.
    """
    path = folder / LINES
    if not path.exists():
        return
    with opened(path) as file:
        for i, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), start=1):
            place = f"{shown(path)}, line {i}"
            if len(line) > MAX_LINE_BYTES:
                raise UsageError(f"{place}: longer than {MAX_LINE_BYTES >> 20} MiB")
            body = mapping(parsed(line, place)) if line.strip() else None
            if body is not None:
                if not isinstance(body.get("task_id"), str) or type(body.get("sample")) is not int:
                    raise UsageError(f"{place}: a sample has a `task_id` (text) and a `sample` (a number)")
                yield body


def name_of(folder: Path) -> str:
    """Return the pool's own name.

    Raises:
        UsageError: the folder holds no pool.
    """
    path = folder / NAME
    named = read_bytes(path, 1_000).decode("utf-8", "replace").strip() if path.exists() else ""
    if not re.fullmatch(r"[0-9a-f]{32}", named):
        raise UsageError(f"{shown(folder)} holds no pool: `tts swebench import SRC -o DIR` makes one")
    return named


def line_of(found: Recorded) -> dict[str, Any]:
    """Return an attempt as a line of a recorded pool; what is unknown is left out."""
    rollout, usage = found.rollout, found.rollout.usage
    told: dict[str, Any] = {
        "patch": rollout.patch,
        "answer": rollout.answer,
        "calls": usage.calls or None,
        "input_tokens": usage.input_tokens or None,
        "cached_input_tokens": usage.cached_input_tokens or None,
        "output_tokens": usage.output_tokens or None,
        "cost_usd": usage.usd if usage.calls or usage.known_usd else None,
        "seconds": rollout.seconds or None,
        "length": rollout.length,
        "agent": found.agent or None,
        "group": group_of(found.task_id),
        "status": rollout.status,
        "source": found.source or None,
    }
    kept = {name: value for name, value in told.items() if value is not None}
    return {"task_id": found.task_id, "sample": found.sample, **kept}


def group_of(task_id: str) -> str | None:
    """Return the repository of a SWE-bench instance, as `owner/name`; None for other tasks."""
    found = _INSTANCE.fullmatch(task_id)
    return f"{found['owner']}/{found['name']}" if found else None


class PoolWriter:
    """A pool that is being added to. `sources` are the files that are in it, by digest, with their tasks."""

    def __init__(self, folder: Path, file: BinaryIO) -> None:
        self.folder = folder
        self.sources: dict[str, set[str]] = {}
        self.n_samples = 0
        self._file = file
        self._next: dict[str, int] = {}
        for body in lines(folder):
            self._append(body)
            self._note(str(body.get("source") or ""), body["task_id"])

    def has(self, source: str) -> Collection[str]:
        """Return the tasks of which a file's attempts are in the pool, none where it is not."""
        return self.sources.get(source, ())

    def _note(self, source: str, task_id: str) -> None:
        if source:
            self.sources.setdefault(source, set()).add(task_id)

    def add(self, found: Recorded) -> int | None:
        """Add an attempt under its task's next number, and return that; None for one that is no result.

        Raises:
            UsageError: its task has a name that a pool cannot hold.
        """
        if found.rollout.status not in RESULTS:
            return None
        _check_name(found.task_id)
        sample = self._next.get(found.task_id, 0)
        whole = _within(replace(found, sample=sample, rollout=replace(found.rollout, index=sample)))
        write_json(trajectory_path(self.folder, found.task_id, sample), atif.document(whole))
        self._append(line_of(whole))
        self._note(found.source, found.task_id)
        self.n_samples += 1
        return sample

    def _append(self, body: dict[str, Any]) -> None:
        self._file.write(json.dumps(body, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        known = self._next.get(body["task_id"], 0)
        self._next[body["task_id"]] = max(known, body["sample"] + 1)


@contextmanager
def adding(folder: Path) -> Generator[PoolWriter]:
    """Open a pool to add to it; made where there is none. Where the block raises, it stays as it was.

    Raises:
        UsageError: it cannot be read, or somebody else adds to it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / LOCK):
        if not (folder / NAME).exists():
            with replacing(folder / NAME) as file:
                file.write(secrets.token_hex(16).encode() + b"\n")
        with replacing(folder / LINES) as file:
            yield PoolWriter(folder, file)


@contextmanager
def _locked(path: Path) -> Generator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UsageError(f"{shown(path.parent)} is being added to by another process; wait for it") from None
    finally:
        os.close(descriptor)


def _check_name(task_id: str) -> None:
    if not task_id or len(task_id) > MAX_NAME_CHARACTERS or not task_id.isprintable():
        raise UsageError(
            f"a task's name is 1 to {MAX_NAME_CHARACTERS:,} printable characters, not {shown(task_id)!r}"
        )


def _within(found: Recorded) -> Recorded:
    """Return the attempt; one whose output is too large to hold is a failure without it."""
    size = len(found.rollout.output or "")
    if size <= MAX_OUTPUT_CHARACTERS:
        return found
    error = f"its output of {size:,} characters is larger than the {MAX_OUTPUT_CHARACTERS:,} that are kept"
    return replace(found, rollout=replace(found.rollout, status="failed", patch="", answer=None, error=error))
