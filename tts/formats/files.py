"""Reads files of strangers within limits, and writes ours so that a reader sees the old or the new whole."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, BinaryIO, cast

from tts.errors import UsageError
from tts.hostile import line

MAX_FILE_BYTES = 128 << 20
"""The most bytes that one imported file, or one member of an archive, may have."""

MAX_DEPTH = 100
"""The most levels of lists and objects in an imported file."""

_SURROGATE = re.compile(rb"\\u[dD][89abAB]|\\u[dD][c-fC-F]")


def shown(name: object) -> str:
    """Return a name made safe to print."""
    return line(str(name), 200)


@contextmanager
def opened(path: Path) -> Generator[BinaryIO]:
    """Open a regular file for reading; a link is not followed and a pipe is not waited for.

    Raises:
        UsageError: it cannot be opened, or is no regular file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read {shown(path)}: {told}") from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UsageError(f"cannot read {shown(path)}: it is no regular file")
        yield file


def read_bytes(path: Path, most: int = MAX_FILE_BYTES) -> bytes:
    """Return a file's bytes.

    Raises:
        UsageError: it cannot be read, or has more than `most` bytes.
    """
    with opened(path) as file:
        body = file.read(most + 1)
    if len(body) > most:
        raise UsageError(f"{shown(path)} is larger than {most >> 20} MiB, the most that is imported")
    return body


def digest_of(body: bytes) -> str:
    """Return the hex SHA-256 of some bytes."""
    return hashlib.sha256(body).hexdigest()


def parsed(body: bytes, place: str, *, unique: bool = False) -> Any:
    """Return the JSON value of some bytes; lone surrogates, which UTF-8 cannot hold, become question marks.

    `unique` refuses an object that has a key twice.

    Raises:
        UsageError: it is no JSON, nests too deep, or has a number that JSON has not; begins with `place`.
    """
    try:
        text = body.decode("utf-8-sig")
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique if unique else None)
    except UnicodeDecodeError:
        raise UsageError(f"{place}: not UTF-8 text") from None
    except RecursionError:
        raise UsageError(f"{place}: nests deeper than {MAX_DEPTH} levels") from None
    except _Twice as error:
        raise UsageError(f"{place}: {shown(error)} is there twice") from None
    except ValueError as error:
        raise UsageError(f"{place}: not JSON: {shown(error)}") from None
    if _depth(value) > MAX_DEPTH:
        raise UsageError(f"{place}: nests deeper than {MAX_DEPTH} levels")
    return _storable(value) if _SURROGATE.search(body) else value


class _Twice(Exception):
    """A key that an object has twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _Twice(next(key for key in keys if keys.count(key) > 1))
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


def _depth(value: object) -> int:
    level: list[object] = [value]
    depth = -1
    while level and depth <= MAX_DEPTH:
        depth += 1
        level = [inner for one in level for inner in _inner(one)]
    return depth


def _inner(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return cast("dict[str, object]", value).values()
    return cast("list[object]", value) if isinstance(value, list) else ()


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_storable(k): _storable(x) for k, x in cast("dict[str, Any]", value).items()}
    return [_storable(x) for x in cast("list[object]", value)] if isinstance(value, list) else value


def mapping(value: object) -> dict[str, Any]:
    """Return a JSON object, an empty one for anything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def listed(value: object) -> list[Any]:
    """Return a JSON list, an empty one for anything else."""
    if not isinstance(value, list):
        return []
    found: list[Any] = cast(Any, value)
    return found


def number(value: object) -> float:
    """Return a finite number of 0 or more, 0.0 for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    try:
        found = float(value)
    except OverflowError:
        return 0.0
    return found if math.isfinite(found) and found >= 0 else 0.0


def count(value: object) -> int:
    """Return a whole number of 0 or more, 0 for anything else."""
    return int(min(number(value), 2.0**53))


def text_of(content: object) -> str:
    """Return the text of a message's content: plain, or the text parts of a list of parts."""
    if content is None or isinstance(content, str):
        return content or ""
    parts = [_part(one) for one in listed(content)] or [json.dumps(content, ensure_ascii=False)]
    return "\n".join(part for part in parts if part)


def _part(part: object) -> str:
    if isinstance(part, str):
        return part
    body = mapping(part)
    for name in ("text", "content", "refusal"):
        if isinstance(body.get(name), str):
            return str(body[name])
    return "" if body.get("type") in ("reasoning", "thinking") else f"[{shown(body.get('type', 'part'))}]"


@contextmanager
def replacing(path: Path) -> Generator[BinaryIO]:
    """Open a file to write in the place of `path`; readers see the old one until all is on disk.

    Its folder is made. Where the block raises, nothing changes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=".tts-", suffix=".part", delete=False) as file:
        try:
            yield cast(BinaryIO, file)
            file.flush()
            os.fsync(file.fileno())
            os.chmod(file.name, 0o666 & ~_umask())
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def write_json(path: Path, value: object) -> None:
    """Write a JSON value in the place of `path`, whole or not at all."""
    with replacing(path) as file:
        file.write(json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "replace") + b"\n")
