"""Reads tasks from JSON lines, and keeps what only a grader may see apart from them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tts.errors import UsageError
from tts.report.text import line
from tts.types import Task
from tts.workspaces.git import check_place

FIELDS = ("id", "prompt", "expected", "metadata", "repo", "base_commit")
EXAMPLE = '{"id": "t1", "prompt": "What is 2 + 2?", "expected": "4"}'
MAX_LINE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class TaskFile:
    """Tasks, and the expected answers by task id, which only graders are given."""

    tasks: tuple[Task, ...]
    truths: Mapping[str, str]


def read_tasks(path: Path) -> TaskFile:
    """Return the tasks of a file: a JSON object a line with `id`, `prompt` and maybe the other `FIELDS`.

    Raises:
        UsageError: a line cannot be read, or an id comes twice; the message names the line.
    """
    tasks: dict[str, Task] = {}
    truths: dict[str, str] = {}
    for place, row in _rows(path):
        task = _task(place, row)
        if task.id in tasks:
            raise UsageError(f"{place}: the id {task.id!r} comes twice; ids must differ")
        tasks[task.id] = task
        if row.get("expected") is not None:
            truths[task.id] = _expected(place, row["expected"])
    if not tasks:
        raise UsageError(f"{line(str(path))} holds no tasks; a line is one task such as {EXAMPLE}")
    return TaskFile(tuple(tasks.values()), truths)


def _task(place: str, row: Mapping[str, Any]) -> Task:
    unknown = [name for name in row if name not in FIELDS]
    if unknown:
        raise UsageError(
            f"{place}: there is no field {unknown[0]!r}; a task has {', '.join(FIELDS)}"
            " (what else the agent may see goes into metadata)"
        )
    metadata: object = row.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise UsageError(f"{place}: metadata is an object, not {json.dumps(metadata)[:40]}")
    texts = {name: _text(place, row, name) for name in ("prompt", "repo", "base_commit")}
    if not texts["prompt"]:
        raise UsageError(f"{place}: prompt is missing or empty; a line is one task such as {EXAMPLE}")
    task = Task(_id(place, row), metadata=cast("dict[str, Any]", metadata), **texts)
    if task.repo or task.base_commit:
        check_place(task)
    return task


def _id(place: str, row: Mapping[str, Any]) -> str:
    given = row.get("id")
    name = str(given) if isinstance(given, int) and not isinstance(given, bool) else given
    if not isinstance(name, str) or not name or not name.isprintable():
        raise UsageError(
            f"{place}: id is a name of printable characters; a line is one task such as {EXAMPLE}"
        )
    return name


def _text(place: str, row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if value is not None and not isinstance(value, str):
        raise UsageError(f"{place}: {name} is text, not {json.dumps(value)[:40]}")
    return value or ""


def _expected(place: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        return json.dumps(value)
    raise UsageError(f"{place}: expected is text or a number, not {json.dumps(value)[:40]}")


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    name = line(str(path))
    try:
        with path.open("rb") as file:
            for i, raw in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), start=1):
                if raw.strip():
                    yield f"{name}, line {i}", _row(f"{name}, line {i}", raw)
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}") from None


def _row(place: str, raw: bytes) -> Mapping[str, Any]:
    if len(raw) > MAX_LINE_BYTES:
        raise UsageError(f"{place}: longer than {MAX_LINE_BYTES >> 20} MiB; a line is one task")
    try:
        row: object = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise UsageError(f"{place}: not a JSON object in UTF-8; a line is one task such as {EXAMPLE}")
    return cast("Mapping[str, Any]", row)
