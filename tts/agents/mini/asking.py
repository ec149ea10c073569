"""mini-swe-agent's requests on our way to a model: its throttle, its patience, its prices, our accounts."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import anyio

from tts.agents.mini.loading import hush, known_price, loaded
from tts.errors import Infra
from tts.models.call import Call, Patience
from tts.models.chat import Ask, Began, Billed, Delta, Ended, Event, Settings, Stop, unheard
from tts.models.connections import Connections, Line
from tts.models.faults import Again, meaning, retry_after
from tts.models.meter import metered
from tts.models.openai_chat import OpenAIChat
from tts.models.prices import MILLION, PROVIDERS, Price, dollars
from tts.models.providers import is_model, key_of, split, wire_of
from tts.models.throttle import Gate, Limits
from tts.types import Usage

STOPS: Mapping[str, Stop] = {"length": "length", "content_filter": "refused"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """The model that answers: a litellm name, its server, and how it may be asked."""

    name: str
    base_url: str = ""
    price: Price | None = None
    limits: Limits = Limits()
    patience: Patience = Patience()
    max_output_tokens: int = 16_384

    def priced(self) -> Price | None:
        """Return the user's price or, where nobody else publishes one, litellm's; None: neither."""
        if self.price is not None or dollars(Usage(calls=1, input_tokens=1000), self.name) is not None:
            return self.price
        return price_known_to_litellm(self.name)


def price_known_to_litellm(name: str) -> Price | None:
    """Return litellm's price of a model; None where it knows none, or says that it costs nothing."""
    known = known_price(name)
    rates = {
        "input": known.get("input_cost_per_token"),
        "output": known.get("output_cost_per_token"),
        "cached_input": known.get("cache_read_input_token_cost"),
        "cache_write": known.get("cache_creation_input_token_cost"),
    }
    if not rates["input"] and not rates["output"]:
        return None
    per_million = {key: rate * MILLION for key, rate in rates.items() if rate is not None}
    return Price(per_million.pop("input", 0.0), per_million.pop("output", 0.0), **per_million)


def window_tokens(name: str) -> int | None:
    """Return the longest prompt of a model in tokens, None where genai-prices does not say."""
    from genai_prices.data_snapshot import get_snapshot

    provider, _, model = name.partition("/")
    try:
        _, found = get_snapshot().find_provider_model(model, None, PROVIDERS.get(provider, provider), None)
    except LookupError:
        return None
    return found.context_window


class Asking:
    """Asks one model on behalf of one attempt. What it paid and has not yet handed over is in `unpaid`."""

    def __init__(self, source: Source, connections: Connections) -> None:
        self.unpaid = Usage()
        self._source = source
        self._price = source.priced()
        self._options: dict[str, Any] = {"max_retries": 0, "num_retries": 0}
        self._throttle, self._place = self._way(connections)

    async def ask(self, messages: Sequence[Mapping[str, Any]], **options: Any) -> Any:
        """Return litellm's response.

        Raises:
            Infra, Unusable, Declined: see `tts.models.chat.Chat`.
        """
        source = self._source
        request = Request(source.name, self._place, lambda: self._send(messages, options))
        call = Call(
            source.name,
            Settings(max_output_tokens=source.max_output_tokens),
            self._price,
            source.patience,
            Line(request, self._throttle),
            Ask("", (_text(messages),)),
            unheard,
        )
        with metered(self._pay) as meter, anyio.move_on_after(source.patience.total_seconds) as time:
            meter.outer = None  # the attempt pays with its step
            await call.replies()
        if time.cancelled_caught:
            seconds = source.patience.total_seconds
            raise Infra(f"{source.name}: no answer within {seconds:g} seconds; {call.last}")
        return request.response

    def taken(self) -> Usage:
        """Return what was paid since this was last asked."""
        usage, self.unpaid = self.unpaid, Usage()
        return usage

    def _pay(self, usage: Usage) -> None:
        self.unpaid = self.unpaid + usage

    async def _send(self, messages: Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> Any:
        """Make one request; it may take twice as long as a stream may be silent."""
        hush()
        seconds = 2 * self._source.patience.stall_seconds
        request = {**options, **self._options, "timeout": seconds}
        try:
            with anyio.fail_after(seconds):
                return await loaded().litellm.acompletion(
                    model=self._source.name, messages=list(messages), **request
                )
        except Exception as error:  # noqa: BLE001 - `meaning` says what it is
            raise _meaning(error, self._source.name) from None

    def _way(self, connections: Connections) -> tuple[Gate, str]:
        """Return the throttle that all who ask this model share, and the server's place; note the client."""
        source = self._source
        if source.base_url:
            self._options["api_base"] = source.base_url
        if not is_model(source.name):
            return self._foreign(connections)
        wire = wire_of(source.name, source.base_url, "", source.patience.stall_seconds, connections)
        provider, _ = split(source.name)
        if provider == "openai" and isinstance(wire, OpenAIChat):
            self._options["client"] = wire.client
        else:
            connections.client(("litellm",), Closing)
            if source.base_url:
                self._options["api_key"] = key_of(provider, source.base_url, "")[1]
        return connections.line(wire, source.limits).throttle, wire.place

    def _foreign(self, connections: Connections) -> tuple[Gate, str]:
        """A provider that litellm alone knows."""
        connections.client(("litellm",), Closing)
        provider, _, model = self._source.name.partition("/")
        place = urlsplit(self._source.base_url).netloc or provider
        return connections.throttle((provider, place, model), self._source.limits), place


@dataclass(slots=True, eq=False)
class Request:
    """One request as the wire that a `Call` drives; `response` is litellm's, once it is there."""

    name: str
    place: str
    send: Callable[[], Any]
    response: Any = field(default=None)

    @property
    def provider(self) -> str:
        return self.name.partition("/")[0]

    @property
    def model(self) -> str:
        return self.name.partition("/")[2]

    @property
    def host(self) -> str:
        return self.place

    @asynccontextmanager
    async def stream(self, ask: Ask, settings: Settings) -> AsyncGenerator[AsyncIterator[Event]]:
        """Return the whole answer as events."""
        self.response = await self.send()
        yield _events(self.response)

    async def known(self) -> Sequence[str]:
        return ()


class Closing:
    """litellm's own connections, which it would leave open."""

    async def close(self) -> None:
        litellm = loaded().litellm
        await litellm.close_litellm_async_clients()
        litellm.in_memory_llm_clients_cache.flush_cache()


async def _events(response: Any) -> AsyncGenerator[Event]:
    yield Began()
    choice = response.choices[0]
    text, thinking = said(choice.message)
    yield Delta(0, text + _called(choice.message), thinking)
    yield Ended(0, STOPS.get(choice.finish_reason, "end"))
    usage = usage_of(getattr(response, "usage", None))
    if usage.tokens:
        yield Billed(usage)


def said(message: Any) -> tuple[str, str]:
    """Return the text of a litellm message and the thinking that it shows."""
    content, thinking = message.content, getattr(message, "reasoning_content", None)
    return content if isinstance(content, str) else "", thinking if isinstance(thinking, str) else ""


def _called(message: Any) -> str:
    return "".join(str(call.function.arguments) for call in message.tool_calls or ())


def usage_of(usage: Any) -> Usage:
    """Return a response's usage in our words; litellm counts cached tokens as part of the prompt."""
    prompt = getattr(usage, "prompt_tokens_details", None)
    output = getattr(usage, "completion_tokens_details", None)
    written = getattr(prompt, "cache_creation_tokens", None) or getattr(
        usage, "cache_creation_input_tokens", None
    )
    return Usage(
        calls=1,
        input_tokens=getattr(usage, "prompt_tokens", None) or 0,
        cached_input_tokens=getattr(prompt, "cached_tokens", None) or 0,
        cache_write_tokens=written or 0,
        output_tokens=getattr(usage, "completion_tokens", None) or 0,
        reasoning_tokens=getattr(output, "reasoning_tokens", None) or 0,
    )


def _meaning(error: Exception, name: str) -> Exception:
    """Return what stands for an error of litellm's, which keeps the server's headers by another name."""
    found = meaning(error, name)
    headers = getattr(error, "litellm_response_headers", None)
    if isinstance(found, Again) and not found.retry_after and headers is not None:
        return Again(str(found), retry_after=retry_after(headers), crowded=found.crowded)
    return found


def _text(messages: Sequence[Mapping[str, Any]]) -> str:
    """All that the model reads, for an estimate of its size."""
    return "\n\n".join(json.dumps(cast("Any", message), default=str) for message in messages)
