"""Limits for git where it reads what nobody vouches for: memory, processor time, sizes told beforehand."""

from __future__ import annotations

import base64
import re
import signal
import zlib
from collections.abc import Iterator

from tts.errors import LimitReached

MEMORY_KIB = 3 * 1024 * 1024
"""The most memory of one git process, what it maps of packs included."""
SECONDS = 120
"""The most processor time of one git process."""
MOST_BINARY = 256 * 1024 * 1024
"""So many bytes at most may the binary files of a patch come to."""

MAPPED = ("-c", "core.packedGitLimit=512m", "-c", "core.packedGitWindowSize=32m")
"""Settings by which git maps little of a large repository at a time."""

_PART = re.compile(rb"^(literal|delta) (\d{1,18})\n((?:[A-Za-z].*\n){0,40})", re.MULTILINE)
_UNKNOWN = 1 << 62


def limited(seconds: int = SECONDS) -> tuple[str, ...]:
    """Return the words that stand before a command so that it runs under the limits."""
    limits = f"ulimit -v {MEMORY_KIB} && ulimit -t {seconds} && ulimit -c 0"
    return ("/bin/sh", "-c", f'{limits} && exec "$@"', "sh")


def passed(returncode: int, said: str) -> str:
    """Return which limit a command ended at, in words; "" where it ended otherwise."""
    if returncode in (-signal.SIGXCPU, -signal.SIGKILL, 128 + signal.SIGXCPU, 128 + signal.SIGKILL):
        return f"git took more than {SECONDS} s of processor time"
    if re.search(r"out of memory|memory exhausted|cannot allocate|mmap failed", said, re.IGNORECASE):
        return f"git needed more than {MEMORY_KIB // 1024**2} GiB of memory"
    return ""


def check_binary(patch: bytes, most: int = MOST_BINARY) -> None:
    """Check what a patch's binary files come to, before git makes room for them.

    Raises:
        LimitReached: it is more than `most` bytes, or cannot be told.
    """
    size = sum(_sizes(patch))
    if size > most:
        told = f"{size:,} bytes" if size < _UNKNOWN else "a size that it hides"
        raise LimitReached(f"the patch's binary files come to {told}, more than the {most:,} allowed")


def _sizes(patch: bytes) -> Iterator[int]:
    for kind, size, lines in _PART.findall(patch):
        yield int(size)
        if kind == b"delta":
            yield _result(lines)


def _result(lines: bytes) -> int:
    """Return the size that a delta says it makes: the second number of its head."""
    try:
        packed = b"".join(map(_line, lines.splitlines()))
        head = zlib.decompressobj().decompress(packed, 32)
    except (ValueError, zlib.error):
        return 0  # git refuses it, too
    numbers = re.match(rb"[\x80-\xff]*[\x00-\x7f]([\x80-\xff]*[\x00-\x7f])", head, re.DOTALL)
    if numbers is None:
        return _UNKNOWN
    return sum((byte & 127) << (7 * place) for place, byte in enumerate(numbers[1]))


def _line(line: bytes) -> bytes:
    """Return the bytes of a line of git's base 85, which begins with their number as a letter."""
    length = line[0] - ord("A") + 1 if line[:1].isupper() else line[0] - ord("a") + 27
    return base64.b85decode(line[1:])[:length]
