"""An answer cut into tokens, ready to be told by any of the three APIs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from tts.testing.provider.script import Asked, Fault, Says
from tts.testing.provider.tokens import Prompt, split_tokens


@dataclass(frozen=True, slots=True)
class Options:
    """What the provider can do, and how it words it."""

    models: tuple[str, ...] | None = None
    keys: tuple[str, ...] | None = None
    honours_n: bool = True
    schemas: bool = True
    lists_models: bool = True
    reasoning_field: Literal["reasoning_content", "reasoning"] = "reasoning_content"
    reasoning_events: Literal["summary", "text"] = "summary"
    tokens_per_event: int = 1
    context_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Tokens of one choice that are sent in one event; `tick` is when the last of them is made."""

    tick: int
    text: str
    tokens: int
    thinking: bool


@dataclass(frozen=True, slots=True)
class Spoken:
    """One choice, in tokens."""

    thinking: list[str]
    text: list[str]
    stop: Literal["end", "length", "refused"]
    hidden: bool

    @property
    def ticks(self) -> int:
        """How many tokens the choice has."""
        return len(self.thinking) + len(self.text)

    def stretches(self, size: int) -> Iterator[Stretch]:
        """Yield the choice in stretches of at most `size` tokens, thinking first."""
        for thinking, pieces, first in ((True, self.thinking, 0), (False, self.text, len(self.thinking))):
            for at in range(0, len(pieces), size):
                some = pieces[at : at + size]
                yield Stretch(first + at + len(some) - 1, "".join(some), len(some), thinking)


@dataclass(frozen=True, slots=True)
class Answer:
    """All that is said to a request."""

    asked: Asked
    prompt: Prompt
    choices: tuple[Spoken, ...]
    options: Options

    @property
    def thinking_tokens(self) -> int:
        """Thinking over all choices, hidden or not."""
        return sum(len(one.thinking) for one in self.choices)

    @property
    def output_tokens(self) -> int:
        """Tokens over all choices, thinking included."""
        return sum(one.ticks for one in self.choices)


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a stream, the tokens made with them, and when those are due, in tokens of a choice.

    `shown` of the tokens are in the bytes; hidden thinking is made and not shown.
    """

    data: bytes
    tick: int
    made: int = 0
    shown: int = 0
    thinking: int = 0


class Voice(Protocol):
    """An answer as one API tells it."""

    def opening(self) -> bytes:
        """Return the events before the first token."""
        ...

    def pieces(self) -> Iterator[Piece]:
        """Yield the tokens in the order they are due."""
        ...

    def closing(self) -> bytes:
        """Return the events after the last token."""
        ...

    def failure(self, error: dict[str, Any]) -> bytes:
        """Return the event that ends the stream with an error."""
        ...

    def body(self, *, whole: bool) -> dict[str, Any]:
        """Return the answer in one piece; not `whole` leaves out why it ended and what it cost."""
        ...


def answered(asked: Asked, says: Says, prompt: Prompt, options: Options) -> Answer:
    """Return the answer, each choice cut at the cap on its tokens."""
    n = asked.n if options.honours_n else 1
    return Answer(
        asked, prompt, tuple(_spoken(says, choice, asked.max_tokens) for choice in range(n)), options
    )


def cut_after(fault: Fault | None, answer: Answer) -> int | None:
    """Return after how many tokens the fault strikes, None without a fault."""
    if fault is None:
        return None
    return fault.after_tokens if fault.after_tokens is not None else answer.output_tokens // 2


def _spoken(says: Says, choice: int, cap: int | None) -> Spoken:
    thinking, text, stop = split_tokens(says.thought), split_tokens(says.of(choice)), says.stop
    if cap is not None and len(thinking) + len(text) > cap:
        thinking, text, stop = thinking[:cap], text[: max(cap - len(thinking), 0)], "length"
    return Spoken(thinking, text, stop, says.hidden_thinking)
