"""Reads recorded pools and recorded verdicts, and says in one line what is wrong with a bad one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from tts.equivalence import classes
from tts.errors import UsageError
from tts.samples import Cost, Sample, Samples, shown

Same = str | Callable[[str, str], bool]
"""When two outputs are the same: the name of an equivalence, or a predicate."""

MAX_LINE_BYTES = 64 << 20
MAX_NAME_CHARACTERS = 1_000
MAX_OUTPUT_CHARACTERS = 4 << 20

T = TypeVar("T")
Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RecordedVerdict:
    """One recorded vote: the samples' numbers in the order shown, the one preferred or None, the cost."""

    task_id: str
    shown: tuple[int, ...]
    preferred: int | None
    judge: str
    cost: Cost


def read_pool(pool: Path | Iterable[Record], *, same: Same = "exact") -> list[Samples]:
    """Return the tasks of a recorded pool in the order of their first line, samples by their number.

    A record has `task_id` and `sample` (int) and any of `answer`, `patch`, `correct`, `score`, `length`,
    `calls`, `input_tokens`, `cached_input_tokens`, `output_tokens`, `cost_usd`, `seconds` and `group`;
    null is as good as absent, a blank answer is none, and other fields are passed over.

    Raises:
        UsageError: a record cannot be read; the message names the file and line (or record).
    """
    tasks: dict[str, dict[int, Sample]] = {}
    groups: dict[str, str] = {}
    for place, record in _records(pool):
        task_id, sample, group = _at(place, _sample, record)
        known = tasks.setdefault(task_id, {})
        if sample.number in known:
            raise UsageError(f"{place}: task {shown(task_id)} has sample {sample.number} twice")
        if groups.setdefault(task_id, group) != group:
            raise UsageError(f"{place}: task {shown(task_id)} is in group {shown(groups[task_id])} above")
        known[sample.number] = sample
    if not tasks:
        raise UsageError(f"{_name(pool)} holds no samples; a recorded pool is JSON lines, one per sample")
    return [_task(task_id, known, groups[task_id], same) for task_id, known in tasks.items()]


def read_verdicts(verdicts: Path | Iterable[Record]) -> list[RecordedVerdict]:
    """Return recorded verdicts in order: `task_id`, `shown`, `preferred`, `judge`, and what they cost.

    Raises:
        UsageError: a record cannot be read; the message names the file and line (or record).
    """
    return [_at(place, _verdict, record) for place, record in _records(verdicts)]


def _task(task_id: str, known: Mapping[int, Sample], group: str, same: Same) -> Samples:
    samples = tuple(known[number] for number in sorted(known))
    return Samples(task_id, samples, tuple(classes([s.output for s in samples], same)), group)


def _sample(record: Record) -> tuple[str, Sample, str]:
    correct = _number(record, "correct", least=0.0)
    if correct is not None and correct > 1:
        raise ValueError(f"`correct` is true, false or a number in [0, 1], not {correct:g}")
    sample = Sample(
        number=_index(record.get("sample"), "sample"),
        answer=_output(record, "answer"),
        patch=_output(record, "patch"),
        correct=correct,
        score=_number(record, "score"),
        length=_number(record, "length", least=0.0),
        seconds=_number(record, "seconds", least=0.0),
        agent=_word(record, "agent", needed=False),
        **_spent(record),
    )
    return _word(record, "task_id"), sample, _word(record, "group", needed=False)


def _verdict(record: Record) -> RecordedVerdict:
    numbers: object = record.get("shown")
    if not isinstance(numbers, list | tuple):
        raise ValueError("`shown` is the list of the samples' numbers in the order shown")
    group = tuple(_index(n, "shown") for n in cast("list[object]", numbers))
    if len(group) < 2 or len(set(group)) < len(group):
        raise ValueError("`shown` names two or more different samples")
    chosen = record.get("preferred")
    preferred = None if chosen is None else _index(chosen, "preferred")
    if preferred is not None and preferred not in group:
        raise ValueError(f"`preferred` is one of `shown` or null, not {preferred}")
    cost = Cost(**_spent(record), critical_seconds=_number(record, "seconds", least=0.0))
    return RecordedVerdict(
        _word(record, "task_id"), group, preferred, _word(record, "judge", needed=False), cost
    )


def _spent(record: Record) -> dict[str, float | None]:
    calls = _number(record, "calls", least=0.0)
    tokens = ("input_tokens", "cached_input_tokens", "output_tokens")
    return {
        "calls": 1.0 if calls is None else calls,
        "usd": _number(record, "cost_usd", least=0.0),
        **{name: _number(record, name, least=0.0) for name in tokens},
    }


def _number(record: Record, name: str, *, least: float = -math.inf) -> float | None:
    value = record.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float):
        raise ValueError(f"`{name}` is a number, not {_kind(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or number < least:
        raise ValueError(f"`{name}` is a finite number{' of 0 or more' * (least == 0)}, not {number:g}")
    return number


def _index(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise ValueError(f"`{name}` wants whole numbers from 0, as in a sample's number, not {_kind(value)}")
    return value


def _word(record: Record, name: str, *, needed: bool = True) -> str:
    value = record.get(name)
    if value is None and not needed:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not (value or not needed):
        raise ValueError(f"`{name}` is a name, not {_kind(value)}")
    if len(value) > MAX_NAME_CHARACTERS or not value.isprintable():
        raise ValueError(f"`{name}` is {MAX_NAME_CHARACTERS:,} printable characters at most: {shown(value)}")
    return value


def _output(record: Record, name: str) -> str | None:
    value = record.get(name)
    if isinstance(value, int | float):
        value = json.dumps(value)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"`{name}` is text, not {_kind(value)}")
    if value is not None and len(value) > MAX_OUTPUT_CHARACTERS:
        raise ValueError(f"`{name}` is {MAX_OUTPUT_CHARACTERS:,} characters at most, not {len(value):,}")
    return value if value and value.strip() else None


def _kind(value: object) -> str:
    kinds: dict[type, str] = {
        type(None): "absent",
        bool: "a truth value",
        str: "text",
        list: "a list",
        dict: "an object",
    }
    if isinstance(value, str):
        return shown(value) if value else "empty"
    return kinds.get(type(value)) or shown(repr(value)).strip("'")


def _at(place: str, read: Callable[[Record], T], record: Record) -> T:
    try:
        return read(record)
    except ValueError as error:
        raise UsageError(f"{place}: {error}") from None


def _records(source: Path | Iterable[Record]) -> Iterator[tuple[str, Record]]:
    if isinstance(source, str | Path):
        yield from _lines(Path(source))
        return
    for i, record in enumerate(source, start=1):
        yield f"record {i}", record


def _lines(path: Path) -> Iterator[tuple[str, Record]]:
    try:
        with path.open("rb") as file:
            for i, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), start=1):
                if line.strip():
                    yield (place := f"{_name(path)}, line {i}"), _parsed(place, line)
    except OSError as error:
        raise UsageError(f"cannot read {_name(path)}: {error.strerror}") from None


def _parsed(place: str, line: bytes) -> Record:
    if len(line) > MAX_LINE_BYTES:
        raise UsageError(f"{place}: longer than {MAX_LINE_BYTES >> 20} MiB; a line is one sample")
    try:
        record: object = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UsageError(f"{place}: not UTF-8 text; a line is one JSON object in UTF-8") from None
    except (ValueError, RecursionError):
        raise UsageError(f"{place}: not JSON; a line is one JSON object such as {_EXAMPLE}") from None
    if not isinstance(record, dict):
        raise UsageError(f"{place}: not an object; a line is one JSON object such as {_EXAMPLE}")
    return cast("Record", record)


_EXAMPLE = '{"task_id": "t1", "sample": 0, "answer": "4", "correct": true}'


def _name(source: object) -> str:
    return shown(str(source)).strip("'\"") if isinstance(source, str | Path) else "the recorded pool"
