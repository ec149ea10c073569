"""The file of a run: its schema, its version, and the lock of its one writer."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tts.errors import StoreError

VERSION = 2
"""The schema's version, kept in SQLite's `user_version`."""

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tasks (id TEXT PRIMARY KEY, digest TEXT NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE records (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL, kind TEXT NOT NULL, task_id TEXT NOT NULL, performer TEXT NOT NULL,
  occurrence INTEGER NOT NULL, inputs TEXT NOT NULL, params TEXT NOT NULL,
  status TEXT NOT NULL, result BLOB, error TEXT NOT NULL DEFAULT '', usage TEXT NOT NULL DEFAULT '{}',
  seconds REAL NOT NULL DEFAULT 0, length REAL, n_steps INTEGER NOT NULL DEFAULT 0,
  charge_usd REAL NOT NULL DEFAULT 0, charge_tokens REAL NOT NULL DEFAULT 0,
  charge_seconds REAL NOT NULL DEFAULT 0, charge_rollouts REAL NOT NULL DEFAULT 0,
  started_at REAL NOT NULL, ended_at REAL
);
CREATE UNIQUE INDEX results ON records (key) WHERE status IN ('finished', 'failed', 'limit');
CREATE INDEX by_key ON records (key);
CREATE INDEX by_task ON records (task_id, kind);
CREATE INDEX in_flight ON records (status) WHERE status = 'started';
CREATE TABLE trajectories (
  record INTEGER PRIMARY KEY REFERENCES records (id), steps BLOB NOT NULL,
  base INTEGER REFERENCES trajectories (record)
);
CREATE TABLE outcomes (
  task_id TEXT NOT NULL, strategy TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (task_id, strategy)
) WITHOUT ROWID;
"""

UPGRADES = {1: "ALTER TABLE trajectories ADD COLUMN base INTEGER REFERENCES trajectories (record);"}
"""What makes the next version of a run's file, by its own."""


def connect(path: Path, *, writable: bool) -> sqlite3.Connection:
    """Return a connection to the file; each statement is its own transaction."""
    mode = "rwc" if writable else "ro"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=30,
        check_same_thread=False,
        isolation_level=None,
    )
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def locked(path: Path) -> int:
    """Return a descriptor that holds the one writer's lock.

    Raises:
        StoreError: another process holds it, or the file system has no locks.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreError(f"{path.parent} cannot be a run's folder: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StoreError(
            f"{path.parent} is open in another process: wait for it, stop it, or choose another -o"
        ) from None
    except OSError:
        os.close(descriptor)
        raise StoreError(
            f"{path.parent} is on a file system without locks: choose an -o on a local disk"
        ) from None
    return descriptor


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables of a new run, and check those of an old one.

    Raises:
        StoreError: it is no run, a newer version wrote it, or the file system has no shared memory.
    """
    found = version(connection, path)
    if found == 0 and connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
        raise StoreError(f"{path} is not a run of tts: another program's database")
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if found == 0:
        connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
    for before in range(found or VERSION, VERSION):
        connection.executescript(
            f"BEGIN IMMEDIATE; {UPGRADES[before]} PRAGMA user_version = {before + 1}; COMMIT;"
        )
    if mode != "wal":
        raise StoreError(
            f"{path.parent} is on a file system without shared memory: choose an -o on a local disk"
        )


@contextmanager
def as_run(path: Path) -> Generator[None]:
    """Say in one line what SQLite could not open."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be opened as a run of tts: {error}") from None


def version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the schema's version, 0 for an empty file.

    Raises:
        StoreError: it is no run, or a newer version wrote it.
    """
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > VERSION:
        raise StoreError(
            f"{path} was written by a newer tts (schema {found}, this reads {VERSION}): upgrade tts-scaling"
        )
    return found
