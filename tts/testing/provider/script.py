"""What the provider is asked, and what a script lets it say or get wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from tts.testing.provider.schemas import plausible, unfit

Api = Literal["chat", "responses", "messages"]
Kind = Literal[
    "400",
    "401",
    "402",
    "404",
    "408",
    "409",
    "429",
    "500",
    "503",
    "529",
    "quota",
    "context",
    "error_echo",
    "stall",
    "stall_after",
    "cut",
    "short",
    "malformed",
    "wrong_schema",
    "not_json",
    "refusal",
]

STATUSES: Mapping[str, int] = {
    "400": 400,
    "401": 401,
    "402": 402,
    "404": 404,
    "408": 408,
    "409": 409,
    "429": 429,
    "500": 500,
    "503": 503,
    "529": 529,
    "quota": 429,
    "context": 400,
    "error_echo": 400,
}
"""The faults that are an answer with an error status, and that status."""

SORRY = "I'm sorry, but I can't help with that."
PROSE = "I would say that the first one is better, although {it} is close."


def digest(key: str) -> str:
    """Return what is kept of an API key: enough to tell two keys apart, not to use one."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the provider read it.

    `prompt` is all text that the model reads: `system`, then the text of `messages`, joined by blank lines.
    `schema` is the JSON schema that the answer must fit. `max_tokens` caps one answer. `index` counts the
    requests from 0. `key` is the digest of the API key, "" when none came; no header is kept.
    """

    api: Api
    model: str
    index: int
    system: str
    messages: tuple[tuple[str, str], ...]
    prompt: str
    n: int = 1
    schema: Mapping[str, Any] | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stream: bool = False
    key: str = ""
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def came_with(self, key: str) -> bool:
        """Return whether the request carried this API key."""
        return self.key == digest(key)


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with an answer.

    The kinds that are an error status come instead of an answer; with `after_tokens` they are an error event
    in the stream after so many tokens. `stall` takes the request and sends nothing; `stall_after`, `cut`,
    `short` and `malformed` break a stream after `after_tokens`, or half-way. `retry_after_seconds` is sent
    as `retry-after` (whole seconds) or else as `retry-after-ms`. `message` replaces the usual wording.
    """

    kind: Kind
    after_tokens: int | None = None
    retry_after_seconds: float | None = None
    message: str | None = None

    @property
    def status(self) -> int | None:
        """The HTTP status of the fault, None if it is no error status."""
        return STATUSES.get(self.kind)

    @property
    def instead(self) -> bool:
        """Whether an error status comes in place of any answer."""
        return self.kind in STATUSES and self.after_tokens is None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool; `arguments` is JSON text as the model wrote it, so it may be wrong."""

    name: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True)
class Says:
    """What the model says.

    A sequence of texts is dealt to the choices in turn, and again from its start. `calls` come after the
    text, in each choice, and only in the answers of Chat Completions. `thinking` comes before
    the text, or `thinking_tokens` tokens of filler; `hidden_thinking` is billed and takes its time but is
    not shown. Token i is sent `seconds_to_first + i * seconds_per_token` after the request, in each choice.
    `fault` goes wrong on the way. Where Chat Completions are asked for log-probabilities, `logprobs` are
    dealt to the tokens in turn, and again from the start: those of the likeliest tokens at a place.
    """

    text: str | Sequence[str] = ""
    calls: Sequence[ToolCall] = ()
    thinking: str | None = None
    thinking_tokens: int | None = None
    hidden_thinking: bool = False
    seconds_to_first: float = 0.0
    seconds_per_token: float = 0.0
    stop: Literal["end", "length", "refused"] = "end"
    fault: Fault | None = None
    logprobs: Sequence[Sequence[float]] = ((-0.1, -2.5, -4.0),)

    def of(self, choice: int) -> str:
        """Return the text of a choice."""
        texts = [self.text] if isinstance(self.text, str) else self.text
        return texts[choice % len(texts)] if texts else ""

    @property
    def thought(self) -> str:
        """All thinking, filler included."""
        return "hmm " * self.thinking_tokens if self.thinking_tokens is not None else self.thinking or ""


Script: TypeAlias = Callable[[Asked], Says | Fault]


def default_script(asked: Asked) -> Says:
    """Return a plausible answer: a small value that fits the schema, or a short sentence."""
    return Says(text=plausible(asked.schema) if asked.schema is not None else "The answer is 42.")


def settled(said: Says | Fault, asked: Asked) -> Says | Fault:
    """Return a fault that replaces the answer, or what is said, with faults of content worked in.

    Raises:
        ValueError: the script calls tools where they cannot be told.
    """
    if isinstance(said, Fault):
        return said if said.instead else settled(replace(default_script(asked), fault=said), asked)
    if said.calls and asked.api != "chat":
        raise ValueError(f"only Chat Completions are told tool calls here, not {asked.api}")
    fault = said.fault
    if fault is None:
        return said
    if fault.instead:
        return fault
    if fault.kind == "refusal":
        return replace(said, text=fault.message or SORRY, stop="refused", fault=None)
    if fault.kind in ("wrong_schema", "not_json"):
        broken = unfit(asked.schema) if fault.kind == "wrong_schema" else PROSE
        return replace(said, text=fault.message or broken, fault=None)
    return said


def faulty(script: Script, rate: float, kinds: Sequence[Kind | Fault], *, seed: int = 0) -> Script:
    """Return a script of which a share `rate` of requests fails with one of `kinds`.

    Which ones is a hash of the seed and the index of the request alone.
    """
    faults = [Fault(kind) if isinstance(kind, str) else kind for kind in kinds]

    def answer(asked: Asked) -> Says | Fault:
        drawn = hashlib.sha256(f"{seed}:{asked.index}".encode()).digest()
        if int.from_bytes(drawn[:8], "big") >= rate * 2**64:
            return script(asked)
        fault = faults[int.from_bytes(drawn[8:12], "big") % len(faults)]
        said = script(asked)
        return fault if isinstance(said, Fault) else replace(said, fault=fault)

    return answer
