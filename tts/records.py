"""What the store keeps of an effect, and how nouns become bytes and back."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

from tts.errors import StoreError
from tts.types import Status, Step, Usage

T = TypeVar("T")

COLUMNS = (
    "id, key, kind, task_id, performer, occurrence, inputs, params, status, result, error, usage, seconds,"
    " length, n_steps"
)


@dataclass(frozen=True, slots=True)
class Record:
    """One carrying-out of an effect. `result` is its JSON, None where it has none."""

    id: int
    key: str
    kind: str
    task_id: str
    performer: str
    occurrence: int
    inputs: tuple[str, ...]
    params: dict[str, Any]
    status: Status
    result: bytes | None
    error: str
    usage: Usage
    seconds: float
    length: float | None
    n_steps: int

    def read(self, returns: type[T]) -> T:
        """Return the stored result as its noun."""
        if self.result is None:
            raise StoreError(f"the stored {self.kind} {self.key[:12]} has no result")
        return decode(self.result, returns)


@dataclass(frozen=True, slots=True)
class Ending:
    """How one carrying-out ended, as the ledger hands it to the store."""

    record: int
    status: Status
    result: bytes | None
    usage: Usage
    seconds: float
    charged: tuple[float, ...]
    length: float | None = None
    error: str = ""
    steps: Sequence[Step] = ()


@cache
def adapter(returns: Any) -> TypeAdapter[Any]:
    """Return pydantic's adapter of a noun; made once per type."""
    return TypeAdapter(returns)


def encode(value: object, *, brief: bool = False) -> bytes:
    """Return a noun as JSON in UTF-8, `brief` without what is as by default.

    Lone surrogates, which UTF-8 cannot hold, become question marks.
    """
    try:
        return adapter(cast(Any, type(value))).dump_json(value, warnings=False, exclude_defaults=brief)
    except ValueError:
        return json.dumps(asdict(value), ensure_ascii=False).encode("utf-8", "replace")  # type: ignore[call-overload]


def storable(text: str) -> str:
    """Return a text that UTF-8 can hold: lone surrogates become question marks."""
    return text.encode("utf-8", "replace").decode()


def decode(body: bytes, returns: type[T]) -> T:
    """Return the noun that `encode` wrote."""
    noun: T = adapter(cast(Any, returns)).validate_json(body)
    return noun


def encode_steps(steps: Sequence[Step]) -> bytes:
    """Return a trajectory as a JSON list in UTF-8; of a step only what is not as by default."""
    return b"[" + b",".join(encode(step, brief=True) for step in steps) + b"]"


def read_row(row: tuple[Any, ...]) -> Record:
    """Return the record of a row of `COLUMNS`."""
    (id_, key, kind, task_id, performer, occurrence, inputs, params, status, result, error, usage, *rest) = (
        row
    )
    seconds, length, n_steps = rest
    return Record(
        id=id_,
        key=key,
        kind=kind,
        task_id=task_id,
        performer=performer,
        occurrence=occurrence,
        inputs=tuple(json.loads(inputs)),
        params=json.loads(params),
        status=status,
        result=None if result is None else zlib.decompress(result),
        error=error,
        usage=Usage(**json.loads(usage)),
        seconds=seconds,
        length=length,
        n_steps=n_steps,
    )
