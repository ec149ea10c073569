"""Trajectories on disk: what is packed comes back, whatever is its dictionary, and takes little room."""

from __future__ import annotations

import inspect
import json
import sqlite3
import zlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tts.ledger
import tts.scope
import tts.store
from tts.database import SCHEMA
from tts.errors import StoreError
from tts.packing import LARGEST, MEMBERS, SMALLEST, TASKS_KEPT, Packer, trajectory, unpack
from tts.records import Ending, encode
from tts.store import Store
from tts.types import Effect, Rollout, Step, Task, Usage

FREE = (0.0,) * 4
SOURCES = [inspect.getsource(module).splitlines() for module in (tts.ledger, tts.scope, tts.store)]


def database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCHEMA)
    return connection


def put(connection: sqlite3.Connection, packer: Packer, task: str, body: bytes) -> int:
    columns = "key, kind, task_id, performer, occurrence, inputs, params, status, started_at"
    row = ("k", "rollout", task, "a", 0, "[]", "{}", "started", 0.0)
    marks = ", ".join("?" * len(row))
    cursor = connection.execute(f"INSERT INTO records ({columns}) VALUES ({marks})", row)
    record = cursor.lastrowid or 0
    packed, base = packer.pack(connection, record, body)
    connection.execute("INSERT INTO trajectories VALUES (?, ?, ?)", (record, packed, base))
    return record


def bases(connection: sqlite3.Connection) -> list[int | None]:
    return [base for (base,) in connection.execute("SELECT base FROM trajectories ORDER BY record")]


def wordy(seed: int, n: int = 8000) -> bytes:
    return Random(seed).randbytes(n)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.binary(max_size=5000)), max_size=12), st.data())
def test_every_trajectory_comes_back_also_when_the_writer_changes(
    bodies: list[tuple[str, bytes]], data: st.DataObject
) -> None:
    connection, packer = database(), Packer()
    records = list[tuple[int, bytes]]()
    for task, body in bodies:
        if data.draw(st.booleans()):
            packer = Packer()
        records.append((put(connection, packer, task, body * 3), body * 3))
    assert all(trajectory(connection, record) == body for record, body in records)


def test_the_first_that_are_long_enough_are_the_dictionary_of_those_after_them() -> None:
    connection, packer = database(), Packer()
    put(connection, packer, "t", b"x" * (SMALLEST - 1))
    for i in range(MEMBERS - 1):
        put(connection, packer, "t", wordy(i))
    put(connection, packer, "other", wordy(0))
    for i in range(MEMBERS):
        put(connection, Packer() if i == 1 else packer, "t", wordy(i))
    last = 2 + MEMBERS
    assert bases(connection) == [None, None, 2, 3, None, 4, last, last, last]


def test_a_dictionary_stops_growing_at_its_largest() -> None:
    connection, packer = database(), Packer()
    for i in range(3):
        put(connection, packer, "t", wordy(i, LARGEST))
    assert bases(connection) == [None, 1, 1]
    assert trajectory(connection, 3) == wordy(2, LARGEST)


def test_dictionaries_in_memory_are_bounded_and_those_dropped_are_found_again() -> None:
    connection, packer = database(), Packer()
    for i in range(TASKS_KEPT + 1):
        put(connection, packer, f"t{i}", wordy(i))
    assert len(packer._bases) == TASKS_KEPT  # pyright: ignore[reportPrivateUsage]
    again = put(connection, packer, "t0", wordy(0))
    assert bases(connection)[-1] == 1
    assert trajectory(connection, again) == wordy(0)


def test_what_did_not_reach_the_disk_is_nobodys_dictionary(tmp_path: Path) -> None:
    async def main() -> None:
        store = Store.open(tmp_path)
        effects = [Effect("rollout", Task("t", ""), Rollout, "a", occurrence=i) for i in range(2)]
        lost, kept = await store.begin(effects, [FREE] * 2)
        steps = (Step(observation=json.dumps([Random(0).random() for _ in range(999)])),)
        twice = [_ending(lost, steps), _ending(lost, steps)]
        with pytest.raises(StoreError):
            await store.end(twice)
        await store.end([_ending(kept, steps)])
        assert store.steps(effects[1].key) == steps
        store.close()

    anyio.run(main)


def test_a_run_of_version_1_is_read_and_brought_up_to_date(tmp_path: Path) -> None:
    effect = Effect("rollout", Task("t", ""), Rollout, "a")
    steps = (Step(action="old"),)

    async def written() -> None:
        store = Store.open(tmp_path)
        (record,) = await store.begin([effect], [FREE])
        await store.end([_ending(record, steps)])
        store.close()

    anyio.run(written)
    with closing(sqlite3.connect(tmp_path / "run.db")) as connection:
        (body,) = connection.execute("SELECT steps FROM trajectories").fetchone()
        connection.execute("UPDATE trajectories SET steps = ?", (zlib.compress(unpack(body)),))
        connection.execute("ALTER TABLE trajectories DROP COLUMN base")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    for opening in (Store.read, Store.open, Store.read):
        with closing(opening(tmp_path)) as store:
            assert store.steps(effect.key) == steps
    with closing(sqlite3.connect(tmp_path / "run.db")) as connection:
        assert bases(connection) == [None]


def _ending(record: int, steps: Sequence[Step]) -> Ending:
    return Ending(record, "finished", encode(Rollout()), Usage(), 0.0, FREE, steps=steps)


def test_attempts_at_one_task_take_at_most_15_percent_of_their_bytes() -> None:
    connection, packer, raw = database(), Packer(), 0
    for seed in range(16):
        body = attempt(Random(seed))
        raw += len(body)
        put(connection, packer, "t", body)
    (stored,) = connection.execute("SELECT SUM(LENGTH(steps)) FROM trajectories").fetchone()
    assert stored < 0.15 * raw


def attempt(random: Random) -> bytes:
    """Thirty looks at real source files, each at a place of its own."""
    steps = list[str]()
    for _ in range(30):
        lines = random.choice(SOURCES)
        start = random.randrange(len(lines))
        shown = "\n".join(f"{start + i:6}\t{line}" for i, line in enumerate(lines[start : start + 60]))
        steps.append(json.dumps({"action": f"sed -n {start},+60p", "observation": shown}))
    return "\n".join(steps).encode()
