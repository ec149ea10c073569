"""The provider's model of tokens, and its two prompt caches."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

BYTES_PER_TOKEN = 4
CACHED_FROM_TOKENS = 1024
CACHE_STEP_TOKENS = 128
LIFETIME_SECONDS = 300.0
LOOKBACK_BLOCKS = 20
KEPT_PREFIXES = 200_000


def count_tokens(text: str) -> int:
    """Return the tokens of a text: one for each 4 bytes of UTF-8, rounded up."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def split_tokens(text: str) -> list[str]:
    """Return the text in `count_tokens(text)` pieces.

    No character is split: a piece holds those that begin within its 4 bytes, in rare cases none.
    """
    if text.isascii():
        return [text[at : at + BYTES_PER_TOKEN] for at in range(0, len(text), BYTES_PER_TOKEN)]
    pieces = [""] * count_tokens(text)
    at = 0
    for character in text:
        pieces[at // BYTES_PER_TOKEN] += character
        at += len(character.encode())
    return pieces


@dataclass(frozen=True, slots=True)
class Prompt:
    """The tokens of a prompt: all of them, those read from the cache, those written to it."""

    tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def fresh_tokens(self) -> int:
        """Those neither read from the cache nor written to it."""
        return self.tokens - self.cached_tokens - self.cache_write_tokens


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a cache says of a prompt, and the prefixes it keeps once the answer has begun."""

    prompt: Prompt
    writes: tuple[bytes, ...] = ()


class Prefixes:
    """The prefixes that are cached now, by name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._used: OrderedDict[bytes, float] = OrderedDict()

    def write(self, names: Sequence[bytes]) -> None:
        """Keep these prefixes from now on."""
        for name in names:
            self._used[name] = self._clock()
            self._used.move_to_end(name)
        while len(self._used) > KEPT_PREFIXES:
            self._used.popitem(last=False)

    def has(self, name: bytes) -> bool:
        """Return whether a prefix is cached still; asking prolongs its life."""
        used = self._used.get(name)
        if used is None or self._clock() - used > LIFETIME_SECONDS:
            return False
        self._used[name] = self._clock()
        return True


def automatic(prefixes: Prefixes, model: str, prompt: str) -> Lookup:
    """Return the longest prefix of the prompt that an earlier prompt of the model had, in steps of 128.

    As OpenAI does it: prompts of at least 1024 tokens, no breakpoints, nothing to pay for a write.
    """
    tokens = count_tokens(prompt)
    names = list(_steps(model, prompt)) if tokens >= CACHED_FROM_TOKENS else []
    cached = 0
    for position, name in enumerate(names, start=1):
        if not prefixes.has(name):
            break
        cached = position * CACHE_STEP_TOKENS
    return Lookup(Prompt(tokens, cached if cached >= CACHED_FROM_TOKENS else 0), tuple(names))


def _steps(model: str, prompt: str) -> Iterator[bytes]:
    data, size = prompt.encode(), CACHE_STEP_TOKENS * BYTES_PER_TOKEN
    running = hashlib.blake2b(f"openai {model}\0".encode(), digest_size=16)
    for at in range(0, len(data) - size + 1, size):
        running.update(data[at : at + size])
        yield running.digest()


@dataclass(frozen=True, slots=True)
class Block:
    """A block of an Anthropic prompt; `breakpoint` ends a prefix that is to be cached."""

    role: str
    text: str
    breakpoint: bool = False


def by_breakpoints(prefixes: Prefixes, model: str, blocks: Sequence[Block]) -> Lookup:
    """Return what is read from the cache and what is written to it at the prompt's breakpoints.

    As Anthropic does it: prefixes of at least 1024 tokens; each breakpoint, the last first, also finds a
    prefix that ends up to 20 blocks before it; what follows the match, up to the last breakpoint, is written.
    """
    sizes, names = _ends(model, blocks)
    marks = [at for at, block in enumerate(blocks) if block.breakpoint and sizes[at] >= CACHED_FROM_TOKENS]
    read = _longest(prefixes, marks, names)
    cached = sizes[read] if read is not None else 0
    written = max(sizes[marks[-1]] - cached, 0) if marks else 0
    return Lookup(Prompt(sizes[-1] if sizes else 0, cached, written), tuple(names[at] for at in marks))


def _longest(prefixes: Prefixes, marks: Sequence[int], names: Sequence[bytes]) -> int | None:
    """Return the last block of the longest cached prefix; the breakpoint found again lives on."""
    for mark in reversed(marks):
        for at in range(mark, max(mark - LOOKBACK_BLOCKS, -1), -1):
            if prefixes.has(names[at]):
                return at
    return None


def _ends(model: str, blocks: Sequence[Block]) -> tuple[list[int], list[bytes]]:
    """Return, for the prefix that ends with each block, its tokens and its name."""
    sizes: list[int] = []
    names: list[bytes] = []
    running, length = hashlib.blake2b(f"anthropic {model}\0".encode(), digest_size=16), 0
    for block in blocks:
        data = block.text.encode()
        length += len(data) + (2 if sizes else 0)
        running.update(f"{block.role}\0{len(data)}\0".encode() + data)
        sizes.append(-(-length // BYTES_PER_TOKEN))
        names.append(running.digest())
    return sizes, names
