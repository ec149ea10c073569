"""What a request asks, read from the body that each API takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from tts.testing.provider.script import Api, Asked
from tts.testing.provider.tokens import Block

SYSTEM = ("system", "developer")
MAX_BREAKPOINTS = 4
MAX_LOGPROBS = 20


class Refused(Exception):
    """A request that the API does not take, with the words it says so in."""


@dataclass(frozen=True, slots=True)
class Read:
    """A request as it was read, and its prompt in blocks."""

    asked: Asked
    blocks: tuple[Block, ...]


def read(api: Api, body: Mapping[str, Any], *, index: int, key: str) -> Read:
    """Return what the body asks.

    Raises:
        Refused: the body lacks something, or has too much of it.
    """
    if not isinstance(body.get("model"), str):
        raise Refused("model: Field required" if api == "messages" else "you must provide a model parameter")
    blocks = tuple({"chat": _chat, "responses": _responses, "messages": _messages}[api](body))
    return Read(_asked(api, body, blocks, index=index, key=key), blocks)


def _asked(api: Api, body: Mapping[str, Any], blocks: tuple[Block, ...], *, index: int, key: str) -> Asked:
    return Asked(
        api=api,
        model=body["model"],
        index=index,
        system="\n\n".join(block.text for block in blocks if block.role in SYSTEM),
        messages=tuple(_turns(blocks)),
        prompt="\n\n".join(block.text for block in blocks),
        n=(body.get("n") or 1) if api == "chat" else 1,
        schema=_schema(api, body),
        temperature=body.get("temperature"),
        max_tokens=_cap(body),
        seed=body.get("seed"),
        stream=bool(body.get("stream")),
        key=key,
        body=body,
    )


def _turns(blocks: Iterable[Block]) -> list[tuple[str, str]]:
    """Return one pair for each message; its role ends with its number, to tell it from the next one's."""
    turns: dict[str, list[str]] = {}
    for block in blocks:
        if block.role not in SYSTEM:
            turns.setdefault(block.role, []).append(block.text)
    return [(role.partition(" ")[0], "\n\n".join(texts)) for role, texts in turns.items()]


def _chat(body: Mapping[str, Any]) -> Iterable[Block]:
    if not body.get("messages"):
        raise Refused("Missing required parameter: 'messages'.")
    if body.get("top_logprobs") and not (body.get("logprobs") and body["top_logprobs"] <= MAX_LOGPROBS):
        raise Refused("Invalid value for 'top_logprobs': it must be 20 at most, beside 'logprobs'.")
    return _of_messages(body["messages"])


def _responses(body: Mapping[str, Any]) -> Iterable[Block]:
    if not body.get("input"):
        raise Refused("Missing required parameter: 'input'.")
    asked = body["input"]
    items = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    told = [Block("system", body["instructions"])] if body.get("instructions") else []
    return [*told, *_of_messages([item for item in items if "role" in item])]


def _messages(body: Mapping[str, Any]) -> Iterable[Block]:
    for word in ("messages", "max_tokens"):
        if not body.get(word):
            raise Refused(f"{word}: Field required")
    blocks = [*_of_content("system", body.get("system") or []), *_of_messages(body["messages"])]
    if body.get("cache_control") and blocks:
        blocks[-1] = Block(blocks[-1].role, blocks[-1].text, breakpoint=True)
    marks = sum(block.breakpoint for block in blocks)
    if marks > MAX_BREAKPOINTS:
        raise Refused(f"A maximum of 4 blocks with cache_control may be provided. Found {marks}.")
    return blocks


def _of_messages(messages: Iterable[Mapping[str, Any]]) -> list[Block]:
    blocks: list[Block] = []
    for number, message in enumerate(messages):
        role = message["role"] if message["role"] in SYSTEM else f"{message['role']} {number}"
        blocks.extend(_of_content(role, message.get("content") or []))
        blocks.extend(_of_calls(role, message.get("tool_calls") or []))
    return blocks


def _of_calls(role: str, calls: Iterable[Mapping[str, Any]]) -> list[Block]:
    """Return what an earlier turn called, each as the tool's name and its arguments."""
    functions = [call["function"] for call in calls]
    return [Block(role, f"{function['name']} {function['arguments']}") for function in functions]


def _of_content(role: str, content: str | list[Any]) -> list[Block]:
    if isinstance(content, str):
        return [Block(role, content)]
    parts = [cast("Mapping[str, Any]", {"text": part} if isinstance(part, str) else part) for part in content]
    return [
        Block(role, str(part["text"]), bool(part.get("cache_control"))) for part in parts if "text" in part
    ]


def _cap(body: Mapping[str, Any]) -> int | None:
    caps = [body.get(word) for word in ("max_completion_tokens", "max_output_tokens", "max_tokens")]
    return next((cap for cap in caps if cap is not None), None)


def within(body: Any, *path: str) -> Any:
    """Return what is in the body at this path, None if there is nothing."""
    for step in path:
        body = cast("Mapping[str, Any]", body).get(step) if isinstance(body, Mapping) else None
    return body


def _schema(api: Api, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    paths: Mapping[Api, list[tuple[str, ...]]] = {
        "chat": [("response_format", "json_schema", "schema")],
        "responses": [("text", "format", "schema")],
        "messages": [("output_config", "format", "schema"), ("output_format", "schema")],
    }
    return next((found for path in paths[api] if (found := within(body, *path)) is not None), None)
