"""What one line of a program's output comes to, and careful reading of JSON that nobody vouches for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, cast

from tts.types import Usage

Object: TypeAlias = dict[str, Any]

MOST_TOKENS = 10**12
MOST_USD = 10.0**6
"""Larger figures are taken for nonsense."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the program says that it used.

    `total`: of its whole session so far, else what is new. `key` names a model call whose figures may come
    again, corrected. `priced`: its dollars are known.
    """

    usage: Usage
    priced: bool = False
    total: bool = False
    key: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """What the program says in one object.

    `call` joins an action and the observation that comes later. `more`: the thought goes on where the one
    before ended. `answer` is the final message. `session` names the session from here on.
    """

    thought: str = ""
    action: str = ""
    observation: str = ""
    call: str = ""
    more: bool = False
    answer: str = ""
    figures: Figures | None = None
    session: str = ""


def inside(value: Any, *names: str) -> Any:
    """Return the value at a path of field names, None where there is none."""
    for name in names:
        value = cast("Object", value).get(name) if isinstance(value, dict) else None
    return value


def text(value: Any, *names: str) -> str:
    """Return the text at a path, "" where there is none."""
    found = inside(value, *names)
    return found if isinstance(found, str) else ""


def objects(value: Any) -> Iterator[Object]:
    """Yield the objects of a list."""
    if isinstance(value, list):
        yield from (one for one in cast("Iterable[Any]", value) if isinstance(one, dict))


def shown(value: Any) -> str:
    """Return a text as it is, the texts of a list of blocks, nothing for None, all else as JSON."""
    if isinstance(value, str) or value is None:
        return value or ""
    blocks = [text(block, "text") for block in objects(value)]
    if any(blocks):
        return "\n".join(blocks)
    return json.dumps(value, ensure_ascii=False)


def tool_call(name: str, given: Any) -> str:
    """Return a call of a tool as text: the command itself where the tool is a shell.

    >>> tool_call("Bash", {"command": "ls"}), tool_call("Read", {"path": "a"})
    ('ls', 'Read {"path": "a"}')
    """
    command = text(given, "command")
    if command and any(word in name.lower() for word in ("bash", "shell", "terminal", "exec")):
        return command
    return f"{name} {shown(given)}".strip()


def count(value: Any, *names: str) -> int:
    """Return the whole number at a path, 0 where there is none that can be meant."""
    return int(_number(inside(value, *names), MOST_TOKENS) or 0)


def dollars(value: Any, *names: str) -> float | None:
    """Return the dollars at a path, None where there are none that can be meant."""
    return _number(inside(value, *names), MOST_USD)


def _number(value: Any, most: float) -> float | None:
    meant = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most
    return float(value) if meant else None


def whole_usage(usage: Any, *, calls: int, usd: float | None = None) -> Usage:
    """Return usage whose prompt tokens hold the cached ones."""
    read_in = count(usage, "input_tokens") or count(usage, "prompt_tokens")
    cached = max(count(usage, name) for name in ("cached_input_tokens", "cached_tokens", "cached"))
    written = count(usage, "output_tokens") or count(usage, "completion_tokens")
    thought = count(usage, "reasoning_output_tokens") or count(usage, "reasoning_tokens")
    return Usage(
        calls=calls,
        input_tokens=read_in,
        cached_input_tokens=min(cached, read_in),
        output_tokens=written,
        reasoning_tokens=min(thought, written),
        known_usd=usd or 0.0,
    )


def three_part_usage(usage: Any, *, calls: int, usd: float | None = None) -> Usage:
    """Return usage of which the prompt comes in three parts; Qwen Code, which sums all up, has it in one."""
    cached = count(usage, "cache_read_input_tokens")
    if count(usage, "total_tokens"):
        return replace(
            whole_usage(usage, calls=calls, usd=usd),
            cached_input_tokens=min(cached, count(usage, "input_tokens")),
        )
    written = count(usage, "cache_creation_input_tokens")
    return Usage(
        calls=calls,
        input_tokens=count(usage, "input_tokens") + cached + written,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=count(usage, "output_tokens"),
        known_usd=usd or 0.0,
    )
