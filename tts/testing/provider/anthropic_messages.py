"""The Messages API of Anthropic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tts.testing.provider.answers import Answer, Piece, Stretch
from tts.testing.provider.frames import SLOT, Template, event

STOP: Mapping[str, str] = {"end": "end_turn", "length": "max_tokens", "refused": "refusal"}
SIGNATURE = "c2lnbmVk"


def usage(answer: Answer, output_tokens: int) -> dict[str, Any]:
    """Return what the request cost; what was read from or written to the cache is not in `input_tokens`."""
    prompt = answer.prompt
    written = {"ephemeral_5m_input_tokens": prompt.cache_write_tokens, "ephemeral_1h_input_tokens": 0}
    return {
        "input_tokens": prompt.fresh_tokens,
        "cache_creation_input_tokens": prompt.cache_write_tokens,
        "cache_read_input_tokens": prompt.cached_tokens,
        "cache_creation": written,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


class MessagesVoice:
    """An answer as a message: a thinking block if there is thinking, then a text block."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._spoken = answer.choices[0]
        self._text_at = 1 if self._spoken.thinking else 0

    def opening(self) -> bytes:
        """Return the start of the message, which says what the prompt costs, and of the first block."""
        message = self._message([], None, usage(self._answer, 1))
        start = event({"type": "message_start", "message": message}, named=True)
        return start + self._starts(0) + event({"type": "ping"}, named=True)

    def pieces(self) -> Iterator[Piece]:
        """Yield the tokens, and where the thinking ends the seam of the two blocks."""
        thought, text = self._template("thinking", 0), self._template("text", self._text_at)
        for stretch in self._spoken.stretches(self._answer.options.tokens_per_event):
            yield self._piece(stretch, thought if stretch.thinking else text)
            if stretch.thinking and stretch.tick == len(self._spoken.thinking) - 1:
                yield Piece(self._seam(), stretch.tick)

    def closing(self) -> bytes:
        """Return the end of the block, of the message, and the count of the output."""
        counted = {**usage(self._answer, self._answer.output_tokens), **self._details()}
        for word in ("cache_creation", "service_tier"):
            counted.pop(word)
        delta = {"stop_reason": STOP[self._spoken.stop], "stop_sequence": None, **self._refusal()}
        end = event({"type": "message_delta", "delta": delta, "usage": counted}, named=True)
        return self._stops(self._text_at) + end + event({"type": "message_stop"}, named=True)

    def failure(self, error: dict[str, Any]) -> bytes:
        """Return the error event."""
        return event(error, named=True)

    def body(self, *, whole: bool) -> dict[str, Any]:
        """Return the message in one piece."""
        blocks = [self._block(0, full=True)] if self._spoken.thinking else []
        blocks.append(self._block(self._text_at, full=True))
        counted = {**usage(self._answer, self._answer.output_tokens), **self._details()}
        if not whole:
            message = self._message(blocks, None, counted)
            message.pop("usage")
            return message
        return self._message(blocks, STOP[self._spoken.stop], counted) | self._refusal()

    def _message(self, blocks: list[Any], stop: str | None, counted: dict[str, Any]) -> dict[str, Any]:
        head = {"id": f"msg_{self._answer.asked.index}", "type": "message", "role": "assistant"}
        said = {
            "model": self._answer.asked.model,
            "content": blocks,
            "stop_reason": stop,
            "stop_sequence": None,
        }
        return {**head, **said, "usage": counted}

    def _piece(self, stretch: Stretch, template: Template) -> Piece:
        n = stretch.tokens
        if stretch.thinking and self._spoken.hidden:
            return Piece(b"", stretch.tick, made=n, thinking=n)
        return Piece(template.fill(stretch.text), stretch.tick, n, n, n if stretch.thinking else 0)

    def _seam(self) -> bytes:
        signed = {"type": "signature_delta", "signature": SIGNATURE}
        delta = event({"type": "content_block_delta", "index": 0, "delta": signed}, named=True)
        return delta + self._stops(0) + self._starts(1)

    def _starts(self, at: int) -> bytes:
        block = self._block(at, full=False)
        return event({"type": "content_block_start", "index": at, "content_block": block}, named=True)

    def _stops(self, at: int) -> bytes:
        return event({"type": "content_block_stop", "index": at}, named=True)

    def _block(self, at: int, *, full: bool) -> dict[str, Any]:
        if at == self._text_at:
            return {"type": "text", "text": "".join(self._spoken.text) if full else ""}
        shown = full and not self._spoken.hidden
        thinking = "".join(self._spoken.thinking) if shown else ""
        return {"type": "thinking", "thinking": thinking, "signature": SIGNATURE if full else ""}

    def _template(self, kind: str, at: int) -> Template:
        delta = {"type": f"{kind}_delta", kind: SLOT}
        return Template({"type": "content_block_delta", "index": at, "delta": delta}, named=True)

    def _details(self) -> dict[str, Any]:
        n = self._answer.thinking_tokens
        return {"output_tokens_details": {"thinking_tokens": n}} if n else {}

    def _refusal(self) -> dict[str, Any]:
        if self._spoken.stop != "refused":
            return {}
        return {"stop_details": {"type": "refusal", "category": None, "explanation": None}}
