"""The run on disk: one SQLite file with a write-ahead log, one writer, compressed payloads.

The schema is described in docs/reference/store.md; its source is `tts.database.SCHEMA`.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import anyio
import anyio.to_thread

from tts.database import as_run, connect, locked, prepare, version
from tts.errors import StoreError
from tts.packing import Packer, trajectory
from tts.records import COLUMNS, Ending, Record, decode, encode, encode_steps, read_row, storable
from tts.types import Effect, Status, Step, Task, Usage

T = TypeVar("T")

RESULT = "status IN ('finished', 'failed', 'limit')"


@dataclass(slots=True, eq=False)
class _Write(Generic[T]):
    job: Callable[[sqlite3.Connection], T]
    done: bool = False
    result: list[T] = field(default_factory=list[T])
    error: StoreError | None = None


class Store:
    """A run's database. Open it with `Store.open` (the one writer) or `Store.read` (any number)."""

    def __init__(self, path: Path, *, writable: bool, lock: int | None = None) -> None:
        self.path = path
        self._lock_file = lock
        self._reader = connect(path, writable=writable)
        self._writer = connect(path, writable=True) if writable else None
        self._packer = Packer()
        self._pending: list[_Write[Any]] = []
        self._turn = anyio.Lock()
        self._thread = anyio.CapacityLimiter(1)

    @classmethod
    def open(cls, folder: Path) -> Store:
        """Return the run in `folder` for writing; made when there is none.

        Raises:
            StoreError: it is open elsewhere, was written by a newer version, is no run, or cannot be locked.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder} cannot be a run's folder: {error.strerror}") from None
        lock = locked(folder / "run.lock")
        try:
            path = folder / "run.db"
            with as_run(path), closing(connect(path, writable=True)) as connection:
                prepare(connection, path)
            return cls(path, writable=True, lock=lock)
        except BaseException:
            os.close(lock)
            raise

    @classmethod
    def read(cls, place: Path) -> Store:
        """Return a run for reading, also while another process writes it. `place` is its folder or file.

        Raises:
            StoreError: there is no run, or a newer version wrote it.
        """
        path = place / "run.db" if place.is_dir() else place
        if not path.is_file():
            raise StoreError(
                f"there is no run at {place}: expected a folder with run.db (made by `tts run -o`)"
            )
        with as_run(path), closing(connect(path, writable=False)) as connection:
            if version(connection, path) == 0:
                raise StoreError(f"{path} holds no run yet: it is empty, or not a run of tts")
        return cls(path, writable=False)

    def close(self) -> None:
        """Close the file and let others write."""
        for connection in (self._reader, self._writer):
            if connection is not None:
                connection.close()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job` in a transaction and return its result once that is on disk.

        Writers that come together share one commit: whoever gets the turn commits for all who wait.
        The thread has a place of its own, so that agents in threads cannot keep it waiting.

        Raises:
            StoreError: it could not be written, for instance because the disk is full.
        """
        entry = _Write(job)
        self._pending.append(entry)
        with anyio.CancelScope(shield=True):
            async with self._turn:
                if not entry.done:
                    batch, self._pending = self._pending, []
                    await anyio.to_thread.run_sync(self._commit, batch, limiter=self._thread)
        if entry.error is not None:
            raise entry.error
        return entry.result[0]

    def _commit(self, batch: Sequence[_Write[Any]]) -> None:
        """Write together; where that fails, one by one, so that one who cannot harms no other."""
        assert self._writer is not None, "a store opened for reading cannot be written"
        try:
            with self._writer:
                self._writer.execute("BEGIN IMMEDIATE")
                for entry in batch:
                    entry.result = [entry.job(self._writer)]
        except Exception as error:  # noqa: BLE001 - handed to the one whose write it is
            self._packer.forget()
            if len(batch) > 1:
                for entry in batch:
                    self._commit([entry])
            else:
                batch[0].error = StoreError(f"{self.path} cannot be written: {error}")
                batch[0].error.__cause__ = error
        for entry in batch:
            entry.done = True

    async def begin(self, effects: Sequence[Effect[Any]], charged: Sequence[tuple[float, ...]]) -> list[int]:
        """Record that effects are being performed, charged at their bound until they end."""
        rows = [
            (
                e.key,
                e.kind,
                e.task.id,
                e.performer,
                e.occurrence,
                json.dumps(e.inputs),
                json.dumps(dict(e.params)),
            )
            for e in effects
        ]
        return await self.write(lambda connection: _begin(connection, rows, charged))

    async def end(self, endings: Sequence[Ending]) -> None:
        """Record how they ended; on disk when this returns."""
        await self.write(lambda connection: _end(connection, endings, self._packer))

    async def put(self, endings: Sequence[tuple[Effect[Any], Ending]]) -> None:
        """Record effects that cost nothing, whose start is not worth a record of its own."""

        def job(connection: sqlite3.Connection) -> None:
            for effect, ending in endings:
                row = (effect.key, effect.kind, effect.task.id, effect.performer, effect.occurrence)
                inputs = (json.dumps(effect.inputs), json.dumps(dict(effect.params)))
                (record,) = _begin(connection, [row + inputs], [(0.0,) * 4])
                _end(connection, [replace(ending, record=record)], self._packer)

        await self.write(job)

    def find(self, key: str) -> Record | None:
        """Return the effect's result, or None where it has none yet."""
        return self._one(f"SELECT {COLUMNS} FROM records WHERE key = ? AND {RESULT}", key)

    def results(self, keys: Iterable[str], returns: type[T]) -> Iterator[tuple[str, T]]:
        """Return the results of those effects that have one, with their keys, in no order."""
        query = f"SELECT key, result FROM records WHERE key IN (SELECT value FROM json_each(?)) AND {RESULT}"
        for key, result in self._reader.execute(query, (json.dumps(list(keys)),)):
            yield key, decode(zlib.decompress(result), returns)

    def partial(self, key: str) -> Record | None:
        """Return the longest cancelled carrying-out of an effect, or None."""
        where = "key = ? AND status = 'cancelled' ORDER BY length DESC LIMIT 1"
        return self._one(f"SELECT {COLUMNS} FROM records WHERE {where}", key)

    def records(self, *, kind: str = "%", task_id: str | None = None) -> Iterator[Record]:
        """Return all that ended, oldest first, read as they are asked for."""
        where = "kind LIKE ? AND ended_at IS NOT NULL" + (" AND task_id = ?" if task_id is not None else "")
        arguments = (kind,) if task_id is None else (kind, task_id)
        rows = self._reader.execute(f"SELECT {COLUMNS} FROM records WHERE {where} ORDER BY id", arguments)
        return (read_row(row) for row in rows)

    def steps(self, key: str) -> tuple[Step, ...]:
        """Return the trajectory of a rollout: of its result, else of its longest partial record."""
        record = self.find(key) or self.partial(key)
        if record is None:
            return ()
        body = trajectory(self._reader, record.id)
        return decode(body, tuple[Step, ...]) if body is not None else ()

    def charged(self) -> tuple[float, ...]:
        """Return the run's bill so far: dollars, tokens, seconds, rollouts; each payment once."""
        sums = ", ".join(f"TOTAL(charge_{name})" for name in ("usd", "tokens", "seconds", "rollouts"))
        row: tuple[float, ...] = self._reader.execute(f"SELECT {sums} FROM records").fetchone()
        return row

    def usage(self) -> Usage:
        """Return what all carryings-out that have ended used, each once."""
        names = [f.name for f in fields(Usage)]
        sums = ", ".join(f"TOTAL(json_extract(usage, '$.{name}'))" for name in names)
        row: tuple[float, ...] = self._reader.execute(f"SELECT {sums} FROM records").fetchone()
        found: dict[str, Any] = {
            name: x if name.endswith("_usd") else int(x) for name, x in zip(names, row, strict=True)
        }
        return Usage(**found | {"estimated": bool(found["estimated"])})

    def counts(self) -> dict[tuple[str, str, Status], int]:
        """Return how many carryings-out there are by kind, performer and status."""
        rows = self._reader.execute(
            "SELECT kind, performer, status, COUNT(*) FROM records GROUP BY kind, performer, status"
        )
        return {(kind, performer, status): n for kind, performer, status, n in rows}

    async def recover(self) -> int:
        """Mark what was in flight when the last writer died, charged at its bound; return how many."""
        query = (
            "UPDATE records SET status = 'infra', ended_at = ?, error = 'the run was killed'"
            " WHERE status = 'started'"
        )
        return await self.write(lambda connection: connection.execute(query, (time.time(),)).rowcount)

    async def save_task(self, task: Task) -> None:
        """Store a task, replacing one of the same id and other content."""
        known = self._reader.execute("SELECT digest FROM tasks WHERE id = ?", (task.id,)).fetchone()
        if known == (task.digest,):
            return
        row = (task.id, task.digest, zlib.compress(encode(task)))
        await self.write(lambda connection: _replace(connection, "tasks", row))

    def tasks(self) -> Iterator[Task]:
        """Return the tasks by id."""
        for (body,) in self._reader.execute("SELECT body FROM tasks ORDER BY id"):
            yield decode(zlib.decompress(body), Task)

    async def save_outcome(self, task_id: str, strategy: str, body: object) -> None:
        """Store what a strategy chose on a task."""
        row = (task_id, strategy, zlib.compress(encode(body)))
        await self.write(lambda connection: _replace(connection, "outcomes", row))

    def outcome(self, task_id: str, strategy: str, returns: type[T]) -> T | None:
        """Return what a strategy chose on a task, None where nothing is stored."""
        query = "SELECT body FROM outcomes WHERE task_id = ? AND strategy = ?"
        row = self._reader.execute(query, (task_id, strategy)).fetchone()
        return decode(zlib.decompress(row[0]), returns) if row is not None else None

    def outcomes(self, returns: type[T]) -> Iterator[T]:
        """Return what every strategy chose, by task, then in the order in which strategies sort."""
        for (body,) in self._reader.execute("SELECT body FROM outcomes ORDER BY task_id, strategy"):
            yield decode(zlib.decompress(body), returns)

    def meta(self, name: str) -> Any:
        """Return a JSON value by name, None where there is none."""
        row = self._reader.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    async def save_meta(self, name: str, value: object) -> None:
        """Store a JSON value by name."""
        await self.write(lambda connection: _replace(connection, "meta", (name, json.dumps(value))))

    def _one(self, query: str, key: str) -> Record | None:
        row = self._reader.execute(query, (key,)).fetchone()
        return read_row(row) if row else None


def _begin(
    connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]], charged: Sequence[tuple[float, ...]]
) -> list[int]:
    query = (
        "INSERT INTO records (key, kind, task_id, performer, occurrence, inputs, params, status, charge_usd,"
        " charge_tokens, charge_seconds, charge_rollouts, started_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, 'started', ?, ?, ?, ?, ?) RETURNING id"
    )
    now = time.time()
    return [
        connection.execute(query, (*row, *amounts, now)).fetchone()[0]
        for row, amounts in zip(rows, charged, strict=True)
    ]


def _end(connection: sqlite3.Connection, endings: Sequence[Ending], packer: Packer) -> None:
    query = (
        "UPDATE records SET status = ?, result = ?, error = ?, usage = ?, seconds = ?, length = ?,"
        " n_steps = ?, charge_usd = ?, charge_tokens = ?, charge_seconds = ?, charge_rollouts = ?,"
        " ended_at = ? WHERE id = ?"
    )
    for e in endings:
        result = None if e.result is None else zlib.compress(e.result)
        usage = json.dumps({name: x for name, x in asdict(e.usage).items() if x})
        head = (e.status, result, storable(e.error), usage, e.seconds, e.length, len(e.steps))
        connection.execute(query, (*head, *e.charged, time.time(), e.record))
        if e.steps:
            packed, base = packer.pack(connection, e.record, encode_steps(e.steps))
            connection.execute("INSERT INTO trajectories VALUES (?, ?, ?)", (e.record, packed, base))


def _replace(connection: sqlite3.Connection, table: str, row: tuple[object, ...]) -> None:
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", row)
