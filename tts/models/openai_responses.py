"""OpenAI's Responses, for models that ask for them. There is no `n`: answers share a cached prefix."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

from tts.models.chat import Ask, Began, Billed, Delta, Ended, Event, Settings, Stop
from tts.models.closing import closed
from tts.models.faults import Failed
from tts.models.listing import known
from tts.types import Usage

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream
    from openai.types.responses import Response, ResponseStreamEvent

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
        create: Any = self.client.responses.create
        stream: AsyncStream[ResponseStreamEvent] = await create(**self._request(ask, settings))
        async with closed(stream), aclosing(_events(stream)) as events:
            yield events

    async def known(self) -> Sequence[str]:
        """Return this model, or what the server knows in its place; empty: it cannot tell."""
        return await known(self.client.models, self.model, own=self.host.endswith(".openai.com"))

    def _request(self, ask: Ask, settings: Settings) -> dict[str, Any]:
        turns = [{"role": turn.role, "content": turn.text} for turn in ask.turns]
        request: dict[str, Any] = {
            "model": self.model,
            "instructions": ask.system or None,
            "input": [{"role": "user", "content": "\n\n".join(ask.parts)}, *turns],
            "stream": True,
            "store": False,
            "max_output_tokens": settings.max_output_tokens,
        }
        if settings.temperature is not None:
            request["temperature"] = settings.temperature
        if ask.schema is not None and settings.schemas:
            form = {"type": "json_schema", "name": ask.schema_name, "schema": ask.schema, "strict": True}
            request["text"] = {"format": form}
        return request | {"extra_body": dict(settings.options)}


async def _events(stream: AsyncIterator[ResponseStreamEvent]) -> AsyncGenerator[Event]:
    refused = False
    async for event in stream:
        if event.type == "response.created":
            yield Began()
        elif event.type in THINKING:
            yield Delta(0, thinking=_piece(event))
        elif event.type in TEXT:
            refused = refused or event.type == "response.refusal.delta"
            yield Delta(0, text=_piece(event))
        elif event.type == "response.failed" or event.type == "error":
            if event.type == "response.failed" and event.response.usage is not None:
                yield Billed(usage_of(event.response))
            raise _failure(event)
        elif event.type == "response.completed" or event.type == "response.incomplete":
            yield Ended(0, _stop(event.response, refused=refused))
            if event.response.usage is not None:
                yield Billed(usage_of(event.response))


def _piece(event: Any) -> str:
    return str(event.delta)


def _failure(event: Any) -> Failed:
    error = getattr(getattr(event, "response", None), "error", None) or event
    return Failed(str(getattr(error, "code", "") or ""), str(getattr(error, "message", "") or ""))


def _stop(response: Response, *, refused: bool) -> Stop:
    details = response.incomplete_details
    if refused or (details and details.reason == "content_filter"):
        return "refused"
    return "length" if details and details.reason == "max_output_tokens" else "end"


def usage_of(response: Response) -> Usage:
    """Return a request's usage in our words; nothing where the response tells none."""
    usage = response.usage
    if usage is None:
        return Usage()
    read, made = usage.input_tokens_details, usage.output_tokens_details
    return Usage(
        calls=1,
        input_tokens=usage.input_tokens,
        cached_input_tokens=getattr(read, "cached_tokens", 0) or 0,
        cache_write_tokens=getattr(read, "cache_write_tokens", 0) or 0,
        output_tokens=usage.output_tokens,
        reasoning_tokens=getattr(made, "reasoning_tokens", 0) or 0,
    )
