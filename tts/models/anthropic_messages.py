"""Anthropic's Messages: thinking blocks, and a prompt cached at breakpoints; also on Bedrock and Vertex."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

from tts.models.chat import Ask, Began, Billed, Delta, Ended, Event, Settings, Stop
from tts.models.listing import known
from tts.models.streams import Raw, part, posted
from tts.types import Usage

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

STOPS: Mapping[str, Stop] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refused",
}
BREAKPOINTS = 4
"""The most cache breakpoints that a request may have."""


class AnthropicMessages:
    """One model behind Messages. Answers to one prompt share its cached prefix."""

    def __init__(self, client: AsyncAnthropic, provider: str, model: str) -> None:
        self.client, self.provider, self.model = client, provider, model
        self.host, self.place = client.base_url.host, client.base_url.netloc.decode()

    @asynccontextmanager
    async def stream(self, ask: Ask, settings: Settings) -> AsyncGenerator[AsyncIterator[Event]]:
        """Return the answer as it comes."""
        from anthropic import AsyncStream

        request = posted(self.client, "/v1/messages", self._request(ask, settings), AsyncStream)
        async with request as stream, aclosing(_events(stream)) as events:
            yield events

    async def known(self) -> Sequence[str]:
        """Return this model, or what the server knows in its place; empty: it cannot tell."""
        if self.provider != "anthropic":
            return ()
        return await known(self.client.models, self.model, own=self.host.endswith(".anthropic.com"))

    def _request(self, ask: Ask, settings: Settings) -> dict[str, Any]:
        turns = [{"role": turn.role, "content": turn.text} for turn in ask.turns]
        request: dict[str, Any] = {
            "model": self.model,
            "max_tokens": settings.max_output_tokens,
            "messages": [{"role": "user", "content": _blocks(ask.parts)}, *turns],
            "stream": True,
        }
        if ask.system:
            request["system"] = ask.system
        body = dict(settings.options)
        if settings.temperature is not None:
            body["temperature"] = settings.temperature
        if ask.schema is not None and settings.schemas:
            form = {"type": "json_schema", "schema": ask.schema}
            body["output_config"] = {**body.get("output_config", {}), "format": form}
        return request | body


def _blocks(parts: Sequence[str]) -> list[dict[str, Any]]:
    """Return the parts as blocks with a breakpoint after each but the last, and never more than allowed.

    Where there are too many, the longest prefix keeps its breakpoint, and then the shortest ones do.
    """
    places = range(len(parts) - 1)
    marked = {*places[: BREAKPOINTS - 1], *places[-1:]}
    return [
        {"type": "text", "text": part, **({"cache_control": {"type": "ephemeral"}} if i in marked else {})}
        for i, part in enumerate(parts)
    ]


async def _events(stream: AsyncIterator[Raw]) -> AsyncGenerator[Event]:
    usage = Usage(calls=1)
    stop: Stop = "end"
    async for event in stream:
        kind = event.get("type")
        if kind == "message_start":
            usage = counted(usage, part(event["message"], "usage"))
            yield Began(usage)
        elif kind == "content_block_delta":
            delta = event["delta"]
            if delta.get("type") == "text_delta":
                yield Delta(0, text=delta["text"])
            elif delta.get("type") == "thinking_delta":
                yield Delta(0, thinking=delta["thinking"])
        elif kind == "message_delta":
            stop = STOPS.get(event["delta"].get("stop_reason") or "", "end")
            usage = counted(usage, part(event, "usage"))
        elif kind == "message_stop":
            yield Ended(0, stop)
            yield Billed(usage)


def counted(usage: Usage, told: Raw) -> Usage:
    """Return the usage with what the provider tells now; what it leaves out stays as told before.

    The provider's `input_tokens` leave out what was read from the cache and written to it; ours include it.
    """
    read = _known(told, "cache_read_input_tokens", usage.cached_input_tokens)
    write = _known(told, "cache_creation_input_tokens", usage.cache_write_tokens)
    before = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
    plain = _known(told, "input_tokens", before)
    details = part(told, "output_tokens_details")
    return Usage(
        calls=1,
        input_tokens=plain + read + write,
        cached_input_tokens=read,
        cache_write_tokens=write,
        output_tokens=_known(told, "output_tokens", usage.output_tokens),
        reasoning_tokens=_known(details, "thinking_tokens", usage.reasoning_tokens),
    )


def _known(told: Raw, name: str, before: int) -> int:
    value = told.get(name)
    return value if isinstance(value, int) else before
