"""The Responses API of OpenAI."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from tts.testing.provider.answers import Answer, Piece, Stretch
from tts.testing.provider.frames import NUMBER, SLOT, Template, event

INCOMPLETE: Mapping[str, str] = {"length": "max_output_tokens"}
FAILURES: Mapping[str, str] = {"rate_limit_exceeded": "rate_limit_exceeded"}


def usage(answer: Answer) -> dict[str, Any]:
    """Return what the request cost."""
    return {
        "input_tokens": answer.prompt.tokens,
        "input_tokens_details": {"cached_tokens": answer.prompt.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": answer.thinking_tokens},
        "total_tokens": answer.prompt.tokens + answer.output_tokens,
    }


class ResponsesVoice:
    """An answer as a response: a reasoning item if there is thinking, then a message."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._spoken = answer.choices[0]
        self._created = int(time.time())
        self._number = -1
        self._message_at = 1 if self._spoken.thinking else 0
        self._summed = answer.options.reasoning_events == "summary"

    def opening(self) -> bytes:
        """Return the start of the response and of its first item."""
        started = self._response("in_progress", [])
        head = self._event("response.created", response=started)
        head += self._event("response.in_progress", response=started)
        return head + (self._thinking_starts() if self._spoken.thinking else self._message_starts())

    def pieces(self) -> Iterator[Piece]:
        """Yield the tokens, and where the thinking ends the seam of the two items."""
        thought, text = self._thought_template(), self._text_template()
        for stretch in self._spoken.stretches(self._answer.options.tokens_per_event):
            yield self._piece(stretch, thought if stretch.thinking else text)
            if stretch.thinking and stretch.tick == len(self._spoken.thinking) - 1:
                yield Piece(self._thinking_ends() + self._message_starts(), stretch.tick)

    def closing(self) -> bytes:
        """Return the end of the message and the whole response with its usage."""
        response = self._response(self._status, self._items(), usage(self._answer))
        return self._message_ends() + self._event(f"response.{self._status}", response=response)

    def failure(self, error: dict[str, Any]) -> bytes:
        """Return the response as failed."""
        code = FAILURES.get(error["error"]["code"] or "", "server_error")
        failed = self._response("failed", [])
        failed["error"] = {"code": code, "message": error["error"]["message"]}
        return self._event("response.failed", response=failed)

    def body(self, *, whole: bool) -> dict[str, Any]:
        """Return the response in one piece."""
        if not whole:
            return self._response("in_progress", self._items())
        return self._response(self._status, self._items(), usage(self._answer))

    @property
    def _status(self) -> str:
        return "incomplete" if self._spoken.stop in INCOMPLETE else "completed"

    @property
    def _shown(self) -> bool:
        return bool(self._spoken.thinking) and not self._spoken.hidden

    def _response(
        self, status: str, items: list[Any], counted: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        reason = INCOMPLETE.get(self._spoken.stop) if status == "incomplete" else None
        return {
            "id": f"resp_{self._answer.asked.index}",
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "model": self._answer.asked.model,
            "output": items,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": counted,
        }

    def _event(self, kind: str, **data: Any) -> bytes:
        self._number += 1
        return event({"type": kind, **data, "sequence_number": self._number}, named=True)

    def _piece(self, stretch: Stretch, template: Template) -> Piece:
        n = stretch.tokens
        if stretch.thinking and self._spoken.hidden:
            return Piece(b"", stretch.tick, made=n, thinking=n)
        self._number += 1
        data = template.fill(stretch.text, self._number)
        return Piece(data, stretch.tick, n, n, n if stretch.thinking else 0)

    @property
    def _thought_at(self) -> dict[str, Any]:
        index = {"summary_index" if self._summed else "content_index": 0}
        return {"item_id": f"rs_{self._answer.asked.index}", "output_index": 0, **index}

    @property
    def _text_at(self) -> dict[str, Any]:
        return {
            "item_id": f"msg_{self._answer.asked.index}",
            "output_index": self._message_at,
            "content_index": 0,
        }

    @property
    def _thought_word(self) -> str:
        return "response.reasoning_summary_text" if self._summed else "response.reasoning_text"

    @property
    def _text_word(self) -> str:
        return "response.refusal" if self._spoken.stop == "refused" else "response.output_text"

    def _thought_template(self) -> Template:
        data = {"type": f"{self._thought_word}.delta", **self._thought_at, "delta": SLOT}
        return Template({**data, "sequence_number": NUMBER}, named=True)

    def _text_template(self) -> Template:
        data = {"type": f"{self._text_word}.delta", **self._text_at, "delta": SLOT, **self._logprobs}
        return Template({**data, "sequence_number": NUMBER}, named=True)

    @property
    def _logprobs(self) -> dict[str, Any]:
        return {} if self._spoken.stop == "refused" else {"logprobs": []}

    def _thinking_starts(self) -> bytes:
        item = self._reasoning(full=False)
        added = self._event("response.output_item.added", output_index=0, item=item)
        if not self._shown:
            return added
        part = {"type": self._part_type, "text": ""}
        return added + self._event(f"response.{self._part_word}.added", **self._thought_at, part=part)

    def _thinking_ends(self) -> bytes:
        data, text = b"", "".join(self._spoken.thinking)
        if self._shown:
            data = self._event(f"{self._thought_word}.done", **self._thought_at, text=text)
            part = {"type": self._part_type, "text": text}
            data += self._event(f"response.{self._part_word}.done", **self._thought_at, part=part)
        item = self._reasoning(full=True)
        return data + self._event("response.output_item.done", output_index=0, item=item)

    @property
    def _part_type(self) -> str:
        return "summary_text" if self._summed else "reasoning_text"

    @property
    def _part_word(self) -> str:
        return "reasoning_summary_part" if self._summed else "content_part"

    def _message_starts(self) -> bytes:
        at = self._message_at
        added = self._event("response.output_item.added", output_index=at, item=self._message(full=False))
        return added + self._event("response.content_part.added", **self._text_at, part=self._part(""))

    def _message_ends(self) -> bytes:
        text = "".join(self._spoken.text)
        said = {"refusal" if self._spoken.stop == "refused" else "text": text, **self._logprobs}
        data = self._event(f"{self._text_word}.done", **self._text_at, **said)
        data += self._event("response.content_part.done", **self._text_at, part=self._part(text))
        item = self._message(full=True)
        return data + self._event("response.output_item.done", output_index=self._message_at, item=item)

    def _items(self) -> list[dict[str, Any]]:
        message = self._message(full=True)
        return [self._reasoning(full=True), message] if self._spoken.thinking else [message]

    def _reasoning(self, *, full: bool) -> dict[str, Any]:
        part = {"type": self._part_type, "text": "".join(self._spoken.thinking)}
        shown = [part] if full and self._shown else []
        item: dict[str, Any] = {"id": f"rs_{self._answer.asked.index}", "type": "reasoning"}
        return {**item, "summary": shown} if self._summed else {**item, "summary": [], "content": shown}

    def _message(self, *, full: bool) -> dict[str, Any]:
        status = self._status if full else "in_progress"
        content = [self._part("".join(self._spoken.text))] if full else []
        head = {"id": f"msg_{self._answer.asked.index}", "type": "message", "role": "assistant"}
        return {**head, "status": status, "content": content}

    def _part(self, text: str) -> dict[str, Any]:
        if self._spoken.stop == "refused":
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
