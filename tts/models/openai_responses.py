"""OpenAI's Responses, for models that ask for them. There is no `n`: answers share a cached prefix."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

from tts.models.chat import Ask, Began, Billed, Delta, Ended, Event, Settings, Stop
from tts.models.faults import Failed
from tts.models.listing import known
from tts.models.streams import Raw, part, posted
from tts.types import Usage

if TYPE_CHECKING:
    from openai import AsyncOpenAI

THINKING = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")
TEXT = ("response.output_text.delta", "response.refusal.delta")


class OpenAIResponses:
    """One model behind Responses."""

    def __init__(self, client: AsyncOpenAI, provider: str, model: str) -> None:
        self.client, self.provider, self.model = client, provider, model
        self.host, self.place = client.base_url.host, client.base_url.netloc.decode()

    @asynccontextmanager
    async def stream(self, ask: Ask, settings: Settings) -> AsyncGenerator[AsyncIterator[Event]]:
        """Return the answer as it comes."""
        from openai import AsyncStream

        request = posted(self.client, "/responses", self._request(ask, settings), AsyncStream)
        async with request as stream, aclosing(_events(stream)) as events:
            yield events

    async def known(self) -> Sequence[str]:
        """Return this model, or what the server knows in its place; empty: it cannot tell."""
        return await known(self.client.models, self.model, own=self.host.endswith(".openai.com"))

    def _request(self, ask: Ask, settings: Settings) -> dict[str, Any]:
        turns = [{"role": turn.role, "content": turn.text} for turn in ask.turns]
        request: dict[str, Any] = {
            "model": self.model,
            "input": [{"role": "user", "content": "\n\n".join(ask.parts)}, *turns],
            "stream": True,
            "store": False,
            "max_output_tokens": settings.max_output_tokens,
        }
        if ask.system:
            request["instructions"] = ask.system
        if settings.temperature is not None:
            request["temperature"] = settings.temperature
        if ask.schema is not None and settings.schemas:
            form = {"type": "json_schema", "name": ask.schema_name, "schema": ask.schema, "strict": True}
            request["text"] = {"format": form}
        return request | dict(settings.options)


async def _events(stream: AsyncIterator[Raw]) -> AsyncGenerator[Event]:
    refused = False
    async for event in stream:
        kind = event.get("type", "")
        if kind == "response.created":
            yield Began()
        elif kind in THINKING:
            yield Delta(0, thinking=event["delta"])
        elif kind in TEXT:
            refused = refused or kind == "response.refusal.delta"
            yield Delta(0, text=event["delta"])
        elif kind in ("response.failed", "error"):
            if usage := part(part(event, "response"), "usage"):
                yield Billed(usage_of(usage))
            raise _failure(event)
        elif kind in ("response.completed", "response.incomplete"):
            yield Ended(0, _stop(event["response"], refused=refused))
            if usage := part(event["response"], "usage"):
                yield Billed(usage_of(usage))


def _failure(event: Raw) -> Failed:
    error = part(part(event, "response"), "error") or event
    return Failed(str(error.get("code") or ""), str(error.get("message") or ""))


def _stop(response: Raw, *, refused: bool) -> Stop:
    reason = part(response, "incomplete_details").get("reason")
    if refused or reason == "content_filter":
        return "refused"
    return "length" if reason == "max_output_tokens" else "end"


def usage_of(usage: Raw) -> Usage:
    """Return a request's usage in our words."""
    read, made = part(usage, "input_tokens_details"), part(usage, "output_tokens_details")
    return Usage(
        calls=1,
        input_tokens=usage["input_tokens"],
        cached_input_tokens=read.get("cached_tokens") or 0,
        cache_write_tokens=read.get("cache_write_tokens") or 0,
        output_tokens=usage["output_tokens"],
        reasoning_tokens=made.get("reasoning_tokens") or 0,
    )
