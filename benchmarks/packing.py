"""How small recorded trajectories become on disk: each alone, and with those of its task as the dictionary.

    python -m benchmarks.packing [--quick] [--json]

Reads the runs of tau-bench (50 tasks, four attempts each) from the folder that TTS_DATA names.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import zlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from benchmarks.goals import Figure, report, started
from benchmarks.recorded import Record, rows
from tts.database import SCHEMA
from tts.packing import Packer
from tts.records import encode_steps
from tts.types import Step

FILE = "tau_bench_airline_gpt4o/trajectories.jsonl"


def steps(record: Record) -> list[Step]:
    """Return a trajectory as steps: what the assistant said or called, and what came back."""
    said = [(turn.get("content") or str(turn.get("tool_calls")), turn["role"]) for turn in record["traj"]]
    return [Step(action=text) if role == "assistant" else Step(observation=text) for text, role in said]


def packed_bytes(bodies: Sequence[tuple[str, bytes]]) -> int:
    """Return the bytes of trajectories, given with their tasks, as a run keeps them."""
    columns = "key, kind, task_id, performer, occurrence, inputs, params, status, started_at"
    packer = Packer()
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        for task, text in bodies:
            row = ("k", "rollout", task, "a", 0, "[]", "{}", "started", 0.0)
            cursor = connection.execute(
                f"INSERT INTO records ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row
            )
            record = cursor.lastrowid or 0
            packed, base = packer.pack(connection, record, text)
            connection.execute("INSERT INTO trajectories VALUES (?, ?, ?)", (record, packed, base))
        (total,) = connection.execute("SELECT SUM(LENGTH(steps)) FROM trajectories").fetchone()
    return int(total)


def main(flags: Sequence[str]) -> int:
    """Run, print and return the exit code."""
    path = Path(os.environ.get("TTS_DATA", "")) / FILE
    if not path.is_file():
        print(f"there is no {path}: let TTS_DATA name the folder of the recorded data sets", file=sys.stderr)
        return 2
    runs = [(str(record["task_id"]), steps(record)) for record in rows(path)]
    raw = sum(len(json.dumps(record["traj"], ensure_ascii=False).encode()) for record in rows(path))
    bodies = [(task, encode_steps(trajectory)) for task, trajectory in runs]
    together = packed_bytes(bodies)
    alone = packed_bytes([(f"{task} {i}", text) for i, (task, text) in enumerate(bodies)])
    before = sum(len(zlib.compress(text)) for _, text in bodies)
    figures = [
        Figure("each alone, by zlib", 100 * before / raw, 100, kind="most", unit="% of the file"),
        Figure("each alone", 100 * alone / raw, 100, kind="most", unit="% of the file"),
        Figure("with its task's first ones", 100 * together / raw, 15, kind="most", unit="% of the file"),
    ]
    return report("packing", figures, as_json="--json" in flags)


if __name__ == "__main__":
    started(main, __doc__)
