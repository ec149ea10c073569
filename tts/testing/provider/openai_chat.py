"""The Chat Completions API of OpenAI and of the servers that copy it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from typing import Any

from tts.testing.provider.answers import Answer, Piece, Spoken, Stretch
from tts.testing.provider.frames import SLOT, Template, event
from tts.testing.provider.reading import within

FINISH: Mapping[str, str] = {"end": "stop", "length": "length", "refused": "content_filter"}


def usage(answer: Answer) -> dict[str, Any]:
    """Return what the request cost: the prompt once, the choices added up."""
    return {
        "prompt_tokens": answer.prompt.tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.prompt.tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.prompt.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": answer.thinking_tokens, "audio_tokens": 0},
    }


class ChatVoice:
    """An answer as chat completions: choices interleaved, usage in a last chunk if it was asked for."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._created = int(time.time())
        self._id = f"chatcmpl-{answer.asked.index}"
        self._counted = bool(within(answer.asked.body, "stream_options", "include_usage"))

    def opening(self) -> bytes:
        """Return a chunk for each choice that names the role."""
        delta = {"role": "assistant", "content": "", "refusal": None}
        return b"".join(self._chunk(choice, delta) for choice in range(len(self._answer.choices)))

    def pieces(self) -> Iterator[Piece]:
        """Yield the choices side by side, each with its finish after its last token."""
        voices = [self._choice(index, spoken) for index, spoken in enumerate(self._answer.choices)]
        yield from merge(*voices, key=lambda piece: piece.tick)

    def closing(self) -> bytes:
        """Return the usage if it was asked for, and the mark of the end."""
        last = event(self._frame([], usage(self._answer)), named=False) if self._counted else b""
        return last + b"data: [DONE]\n\n"

    def failure(self, error: dict[str, Any]) -> bytes:
        """Return the error as a bare chunk."""
        return event(error, named=False)

    def body(self, *, whole: bool) -> dict[str, Any]:
        """Return the completion in one piece."""
        choices = [self._whole(index, spoken) for index, spoken in enumerate(self._answer.choices)]
        shell = {"id": self._id, "object": "chat.completion", "created": self._created}
        shell |= {"model": self._answer.asked.model, "choices": choices}
        if whole:
            return {**shell, "usage": usage(self._answer)}
        return {**shell, "choices": [{**choice, "finish_reason": None} for choice in choices]}

    def _choice(self, index: int, spoken: Spoken) -> Iterator[Piece]:
        content = "refusal" if spoken.stop == "refused" else "content"
        text = Template(self._framed(index, {content: SLOT}), named=False)
        thought = Template(self._framed(index, {self._answer.options.reasoning_field: SLOT}), named=False)
        for stretch in spoken.stretches(self._answer.options.tokens_per_event):
            if stretch.call is not None:
                yield self._called(index, spoken, stretch, stretch.call)
            elif self._answer.logprobs and not (stretch.thinking and spoken.hidden):
                yield self._weighed(index, spoken, stretch)
            else:
                yield _piece(stretch, thought if stretch.thinking else text, hidden=spoken.hidden)
        yield Piece(self._chunk(index, {}, _finish(spoken)), max(spoken.ticks - 1, 0))

    def _weighed(self, index: int, spoken: Spoken, stretch: Stretch) -> Piece:
        """Return a piece with the log-probabilities of its tokens."""
        pieces = [*spoken.thinking, *spoken.text]
        said = "refusal" if spoken.stop == "refused" else "content"
        name = self._answer.options.reasoning_field if stretch.thinking else said
        frame = self._framed(index, {name: stretch.text})
        first = stretch.tick - stretch.tokens + 1
        told = self._logprobs(pieces, first, stretch.tick + 1)
        frame["choices"][0]["logprobs"] = {"content": told, "refusal": None}
        thinking = stretch.tokens if stretch.thinking else 0
        data = event(frame, named=False)
        return Piece(data, stretch.tick, made=stretch.tokens, shown=stretch.tokens, thinking=thinking)

    def _logprobs(self, pieces: Sequence[str], first: int, end: int) -> list[dict[str, Any]]:
        """Return what is told of the tokens from `first` to before `end`; the likeliest is the one made."""
        rows = [
            (pieces[at], self._answer.logprobs[at % len(self._answer.logprobs)]) for at in range(first, end)
        ]
        return [
            {
                "token": piece,
                "logprob": row[0] if row else -9999.0,
                "bytes": list(piece.encode()),
                "top_logprobs": [
                    {"token": f"{piece}~{n}" if n else piece, "logprob": value, "bytes": None}
                    for n, value in enumerate(row)
                ],
            }
            for piece, row in rows
        ]

    def _called(self, index: int, spoken: Spoken, stretch: Stretch, call: int) -> Piece:
        """Return a piece of a tool call: its opening, or some of its arguments."""
        if stretch.opens:
            delta = {"index": call, **self._tool_call(index, call, spoken.calls[call].name, "")}
        else:
            delta = {"index": call, "function": {"arguments": stretch.text}}
        data = self._chunk(index, {"tool_calls": [delta]})
        return Piece(data, stretch.tick, made=stretch.tokens, shown=stretch.tokens)

    def _tool_call(self, index: int, call: int, name: str, arguments: str) -> dict[str, Any]:
        identity = f"call_{self._answer.asked.index}_{index}_{call}"
        return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}

    def _whole(self, index: int, spoken: Spoken) -> dict[str, Any]:
        refused, text = spoken.stop == "refused", "".join(spoken.text)
        silent = refused or (not text and bool(spoken.calls))
        message: dict[str, Any] = {"role": "assistant", "content": None if silent else text}
        message["refusal"] = text if refused else None
        if spoken.calls:
            calls = [(call.name, "".join(call.arguments)) for call in spoken.calls]
            message["tool_calls"] = [self._tool_call(index, n, *call) for n, call in enumerate(calls)]
        if spoken.thinking and not spoken.hidden:
            message[self._answer.options.reasoning_field] = "".join(spoken.thinking)
        pieces = [*spoken.thinking, *spoken.text]
        told = self._logprobs(pieces, 0, len(pieces)) if self._answer.logprobs else None
        logprobs = None if told is None else {"content": told, "refusal": None}
        return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": _finish(spoken)}

    def _chunk(self, index: int, delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        return event(self._framed(index, delta, finish), named=False)

    def _framed(self, index: int, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._frame([choice], None)

    def _frame(self, choices: list[dict[str, Any]], counted: dict[str, Any] | None) -> dict[str, Any]:
        frame: dict[str, Any] = {"id": self._id, "object": "chat.completion.chunk", "created": self._created}
        frame |= {"model": self._answer.asked.model, "choices": choices}
        return {**frame, "usage": counted} if self._counted else frame


def _finish(spoken: Spoken) -> str:
    return "tool_calls" if spoken.calls and spoken.stop == "end" else FINISH[spoken.stop]


def _piece(stretch: Stretch, template: Template, *, hidden: bool) -> Piece:
    if stretch.thinking and hidden:
        return Piece(b"", stretch.tick, made=stretch.tokens, thinking=stretch.tokens)
    thinking = stretch.tokens if stretch.thinking else 0
    data = template.fill(stretch.text)
    return Piece(data, stretch.tick, made=stretch.tokens, shown=stretch.tokens, thinking=thinking)
