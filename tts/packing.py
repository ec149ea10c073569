"""How a trajectory becomes bytes: zstd, with an earlier trajectory of its task as the dictionary.

Attempts at one task read the same files and print the same errors, so what one has in common with the first
is not stored again: on recorded agent runs, a third to two thirds of what it takes alone.
"""

from __future__ import annotations

import sys
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from sqlite3 import Connection

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL = 3
SMALLEST_BASE = 1024
"""A trajectory that is packed into fewer bytes is nobody's dictionary."""
LARGEST_BASE = 1 << 20
"""Of a trajectory that has more bytes, so many are one."""
TASKS_KEPT = 16
"""Of so many tasks the dictionary stays in memory."""

MAGIC = b"\x28\xb5\x2f\xfd"
"""How zstd's frames begin."""

FIRST = (
    "SELECT t.record, t.steps FROM records AS r JOIN trajectories AS t ON t.record = r.id"
    " WHERE r.task_id = ? AND t.base IS NULL AND LENGTH(t.steps) >= ? ORDER BY t.record LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class Base:
    """The trajectory of a record as a dictionary."""

    record: int
    words: zstd.ZstdDict


class Packer:
    """Packs trajectories for a store's one writer."""

    def __init__(self) -> None:
        self._bases: OrderedDict[str, Base] = OrderedDict()

    def pack(self, connection: Connection, record: int, body: bytes) -> tuple[bytes, int | None]:
        """Return the packed trajectory of a record, and the record whose trajectory is its dictionary."""
        (task_id,) = connection.execute("SELECT task_id FROM records WHERE id = ?", (record,)).fetchone()
        base = self._base(connection, task_id)
        if base is not None:
            return zstd.compress(body, zstd_dict=base.words), base.record
        packed = zstd.compress(body, LEVEL)
        if len(packed) >= SMALLEST_BASE:
            self._keep(task_id, Base(record, _words(body)))
        return packed, None

    def forget(self) -> None:
        """Forget the dictionaries: what was packed last did not reach the disk."""
        self._bases.clear()

    def _base(self, connection: Connection, task_id: str) -> Base | None:
        if task_id in self._bases:
            self._bases.move_to_end(task_id)
            return self._bases[task_id]
        row = connection.execute(FIRST, (task_id, SMALLEST_BASE)).fetchone()
        return self._keep(task_id, Base(row[0], _words(unpack(row[1])))) if row is not None else None

    def _keep(self, task_id: str, base: Base) -> Base:
        self._bases[task_id] = base
        if len(self._bases) > TASKS_KEPT:
            self._bases.popitem(last=False)
        return base


def unpack(packed: bytes, base: bytes | None = None) -> bytes:
    """Return what `Packer.pack` packed, given what was its dictionary; reads runs of version 1 too."""
    if packed[:4] != MAGIC:
        return zlib.decompress(packed)
    return zstd.decompress(packed, zstd_dict=None if base is None else _words(base))


def trajectory(connection: Connection, record: int) -> bytes | None:
    """Return the trajectory of a record as JSON, None where it has none; reads runs of version 1 too."""
    row = connection.execute("SELECT * FROM trajectories WHERE record = ?", (record,)).fetchone()
    if row is None:
        return None
    _, packed, *base = row
    return unpack(packed, trajectory(connection, base[0]) if base and base[0] is not None else None)


def _words(body: bytes) -> zstd.ZstdDict:
    return zstd.ZstdDict(body[:LARGEST_BASE], is_raw=True)
