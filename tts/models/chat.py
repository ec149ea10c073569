"""What a chat model is asked, what it says while it answers, and what it answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from tts.types import Budget, Usage

Stop = Literal["end", "length", "refused"]
"""Why an answer ended: by itself, at the cap on output tokens, or because the provider refused to go on."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A later turn of a conversation."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to a model.

    `parts`, in their order, make up the user's first message. Each but the last ends a prefix that other
    asks are going to share, so providers that cache by breakpoint get one there; `turns` follow. `n`
    independent answers are wanted. `schema` is a JSON schema that the answer must fit, `schema_name` a word
    for it. `seed` is passed on where the API takes one. `logprobs` asks for the log-probabilities of so many
    of the likeliest tokens at each place (0: none), which only Chat Completions tell.
    """

    system: str
    parts: tuple[str, ...]
    turns: tuple[Turn, ...] = ()
    n: int = 1
    schema: Mapping[str, Any] | None = None
    schema_name: str = "answer"
    seed: int | None = None
    logprobs: int = 0

    @property
    def text(self) -> str:
        """All that the model reads."""
        return "\n\n".join([self.system, *self.parts, *(turn.text for turn in self.turns)])

    def then(self, said: str, asked: str) -> Ask:
        """Return the ask that goes on after the answer `said` with the message `asked`."""
        return replace(self, turns=(*self.turns, Turn("assistant", said), Turn("user", asked)), n=1)


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of one of the n answers, counted from 0: of its text, or of its thinking.

    `logprobs` holds, for each token of the piece, those of the likeliest tokens at its place; empty where
    nothing is told.
    """

    choice: int = 0
    text: str = ""
    thinking: str = ""
    logprobs: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Began:
    """The provider has taken the request and answers. `usage` is what it says of the prompt, if anything."""

    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class Ended:
    """One answer is complete."""

    choice: int
    stop: Stop


@dataclass(frozen=True, slots=True)
class Billed:
    """What the provider counted so far for the whole request; the last one holds. Without dollars."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class Again:
    """The stream was cut and the request is made again: what was heard of it is void."""


Event: TypeAlias = Began | Delta | Ended | Billed
Heard: TypeAlias = Callable[[Began | Delta | Again], None]


def unheard(event: Began | Delta | Again) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole answer. The usages of an ask's replies add up to all that it cost, failed tries included."""

    text: str
    thinking: str = ""
    stop: Stop = "end"
    usage: Usage = Usage()


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How a model answers; part of its identity.

    `max_output_tokens` caps one answer, thinking included. `temperature` None leaves the provider's
    default. `options` go into the request as they are, such as `{"reasoning_effort": "high"}`. `schemas`
    False asks for JSON in words only, for servers that know no response schemas.
    """

    max_output_tokens: int = 16_384
    temperature: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    schemas: bool = True


class Wire(Protocol):
    """A provider's API: one request without limits, retries and prices. Errors are the SDK's own."""

    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def place(self) -> str:
        """Host and port, so that two servers of one machine are told apart."""
        ...

    def stream(self, ask: Ask, settings: Settings) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Return the answer as it comes. Leaving the context closes the connection at once."""
        ...

    async def known(self) -> Sequence[str]:
        """Return the models that the key can use, as far as the API tells; empty where it cannot tell.

        An API that can be asked for one model answers with that name, or raises its error.
        """
        ...


@runtime_checkable
class Chat(Protocol):
    """A model that can be asked. `fingerprint` names the model and its settings."""

    @property
    def fingerprint(self) -> str: ...
    @property
    def shares(self) -> Literal["n", "prefix"]:
        """How answers to one prompt share its cost: `n` of them in one request, or a cached prefix."""
        ...

    async def ask(self, ask: Ask, *, heard: Heard = ...) -> list[Reply]:
        """Return `ask.n` replies; `heard` is told how they come.

        Raises:
            Infra: the provider could not be had in time.
            Unusable: it will not serve at all: a bad key, an unknown model.
            Declined: it will not take this prompt: too long, or refused.
        """
        ...

    async def ready(self) -> bool:
        """Check, at no cost, that it can be asked; return False where that cannot be told.

        Raises:
            Unusable: it cannot; what cannot be told passes.
        """
        ...

    def bound(self, prompt_tokens: int, *, n: int = 1) -> Budget:
        """Return the most that an ask with so many prompt tokens and `n` answers can cost."""
        ...
