"""How a trajectory becomes bytes: zstd, with the first trajectories of its task as the dictionary.

Attempts at one task read the same files and print the same errors, so what one has in common with the
first few is not stored again.  The column `base` names the last member of the dictionary, whose own `base`
names the one before it, so each trajectory says by itself what it needs.
"""

from __future__ import annotations

import sys
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from sqlite3 import Connection

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL = 3
MEMBERS = 4
"""So many trajectories at most make up a dictionary."""
SMALLEST = 1024
"""Where even the first is packed into fewer bytes, there is no dictionary."""
LARGEST = 1 << 20
"""A dictionary has so many bytes at most."""
TASKS_KEPT = 16
"""Of so many tasks the dictionary stays in memory."""
MAGIC = b"\x28\xb5\x2f\xfd"
"""How zstd's frames begin."""

OF_TASK = (
    "SELECT t.record, t.base, LENGTH(t.steps) FROM records AS r JOIN trajectories AS t ON t.record = r.id"
    " WHERE r.task_id = ? ORDER BY t.record"
)


@dataclass(frozen=True)
class Base:
    """A dictionary: the texts of its members, the last of which is that of `record`."""

    record: int
    texts: tuple[bytes, ...]

    @cached_property
    def words(self) -> zstd.ZstdDict:
        """The dictionary itself."""
        return _words(self.texts)

    def grown(self, record: int, text: bytes) -> Base:
        """Return the dictionary with one member more, or the same where it is full."""
        full = len(self.texts) >= MEMBERS or sum(map(len, self.texts)) >= LARGEST
        return self if full else Base(record, (*self.texts, text))


class Packer:
    """Packs trajectories for a store's one writer."""

    def __init__(self) -> None:
        self._bases: OrderedDict[str, Base] = OrderedDict()

    def pack(self, connection: Connection, record: int, body: bytes) -> tuple[bytes, int | None]:
        """Return the packed trajectory of a record, and the record at the end of its dictionary."""
        (task_id,) = connection.execute("SELECT task_id FROM records WHERE id = ?", (record,)).fetchone()
        base = self._base(connection, task_id)
        if base is not None:
            self._keep(task_id, base.grown(record, body))
            return zstd.compress(body, LEVEL, zstd_dict=base.words), base.record
        packed = zstd.compress(body, LEVEL)
        if len(packed) >= SMALLEST:
            self._keep(task_id, Base(record, (body,)))
        return packed, None

    def forget(self) -> None:
        """Forget the dictionaries: what was packed last did not reach the disk."""
        self._bases.clear()

    def _base(self, connection: Connection, task_id: str) -> Base | None:
        if task_id in self._bases:
            return self._bases[task_id]
        last = _last_member(connection.execute(OF_TASK, (task_id,)).fetchall())
        return None if last is None else Base(last, tuple(_texts(connection, last)))

    def _keep(self, task_id: str, base: Base) -> None:
        self._bases[task_id] = base
        self._bases.move_to_end(task_id)
        if len(self._bases) > TASKS_KEPT:
            self._bases.popitem(last=False)


def trajectory(connection: Connection, record: int) -> bytes | None:
    """Return the trajectory of a record as JSON, None where it has none; reads runs of version 1 too."""
    texts = _texts(connection, record)
    return texts[-1] if texts else None


def unpack(packed: bytes, texts: Sequence[bytes] = ()) -> bytes:
    """Return what `Packer.pack` packed, given the members of its dictionary; reads version 1 too."""
    if packed[:4] != MAGIC:
        return zlib.decompress(packed)
    return zstd.decompress(packed, zstd_dict=_words(texts) if texts else None)


def _last_member(rows: Sequence[tuple[int, int | None, int]]) -> int | None:
    """Return the last member of a task's dictionary: whatever follows a member first is the next one."""
    last = next((record for record, base, size in rows if base is None and size >= SMALLEST), None)
    for _ in range(MEMBERS - 1):
        last = next((record for record, base, _ in rows if base is not None and base == last), last)
    return last


def _texts(connection: Connection, record: int) -> list[bytes]:
    """Return the members of a record's dictionary and its own text; nothing where it has no trajectory."""
    row = connection.execute("SELECT * FROM trajectories WHERE record = ?", (record,)).fetchone()
    if row is None:
        return []
    _, packed, *base = row
    before = _texts(connection, base[0]) if base and base[0] is not None else []
    return [*before, unpack(packed, before)]


def _words(texts: Sequence[bytes]) -> zstd.ZstdDict:
    return zstd.ZstdDict(b"".join(texts)[:LARGEST], is_raw=True)
