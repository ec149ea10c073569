"""An answer cut into tokens, ready to be told by any of the three APIs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    """Tokens of one choice that are sent in one event; `tick` is when the last of them is made.

    `call` is the number of the tool call that they belong to, None for thinking and text; `opens` for the
    name of the tool, which is no text.
    """

    tick: int
    text: str
    tokens: int
    thinking: bool = False
    call: int | None = None
    opens: bool = False


@dataclass(frozen=True, slots=True)
class Called:
    """A call of a tool, in tokens; its name is one token."""

    name: str
    arguments: list[str]

    @property
    def ticks(self) -> int:
        """How many tokens it has."""
        return 1 + len(self.arguments)


@dataclass(frozen=True, slots=True)
class Spoken:
    """One choice, in tokens."""

    thinking: list[str]
    text: list[str]
    stop: Literal["end", "length", "refused"]
    hidden: bool
    calls: tuple[Called, ...] = ()

    @property
    def ticks(self) -> int:
        """How many tokens the choice has."""
        return len(self.thinking) + len(self.text) + sum(call.ticks for call in self.calls)

    def stretches(self, size: int) -> Iterator[Stretch]:
        """Yield the choice in stretches of at most `size` tokens: thinking, text, then tool calls."""
        yield from (Stretch(*some, thinking=True) for some in _cut(self.thinking, 0, size))
        first = len(self.thinking)
        yield from (Stretch(*some) for some in _cut(self.text, first, size))
        first += len(self.text)
        for number, call in enumerate(self.calls):
            yield Stretch(first, "", 1, call=number, opens=True)
            yield from (Stretch(*some, call=number) for some in _cut(call.arguments, first + 1, size))
            first += call.ticks


@dataclass(frozen=True, slots=True)
class Answer:
    """All that is said to a request; `logprobs` are dealt to the tokens in turn, none where not asked for."""

    asked: Asked
    prompt: Prompt
    choices: tuple[Spoken, ...]
    options: Options
    logprobs: tuple[Sequence[float], ...] = ()

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
    choices = tuple(_spoken(says, choice, asked.max_tokens) for choice in range(n))
    wanted = asked.body.get("top_logprobs") or 0 if asked.body.get("logprobs") else 0
    told = [row[:wanted] for row in says.logprobs] if wanted else []
    return Answer(asked, prompt, choices, options, tuple(told))


def cut_after(fault: Fault | None, answer: Answer) -> int | None:
    """Return after how many tokens the fault strikes, None without a fault."""
    if fault is None:
        return None
    return fault.after_tokens if fault.after_tokens is not None else answer.output_tokens // 2


def _cut(pieces: list[str], first: int, size: int) -> Iterator[tuple[int, str, int]]:
    """Yield the tick of the last of some tokens, their text and their number; `first` is the first's tick."""
    for at in range(0, len(pieces), size):
        some = pieces[at : at + size]
        yield first + at + len(some) - 1, "".join(some), len(some)


def _spoken(says: Says, choice: int, cap: int | None) -> Spoken:
    thinking, text, stop = split_tokens(says.thought), split_tokens(says.of(choice)), says.stop
    calls = tuple(Called(call.name, split_tokens(call.arguments)) for call in says.calls)
    whole = Spoken(thinking, text, stop, says.hidden_thinking, calls)
    return whole if cap is None or whole.ticks <= cap else _capped(whole, cap)


def _capped(whole: Spoken, cap: int) -> Spoken:
    """Return the first `cap` tokens of a choice; of a call that is not reached nothing is told."""
    thinking = whole.thinking[:cap]
    text = whole.text[: cap - len(thinking)]
    calls, left = list[Called](), cap - len(thinking) - len(text)
    for call in whole.calls:
        if left > 0:
            calls.append(Called(call.name, call.arguments[: left - 1]))
            left -= call.ticks
    return Spoken(thinking, text, "length", whole.hidden, tuple(calls))
