"""OpenAI's Chat Completions, and whatever server speaks them: vLLM, Ollama, llama.cpp, Azure."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

from tts.models.chat import Ask, Began, Billed, Delta, Ended, Event, Settings, Stop
from tts.models.closing import closed
from tts.models.listing import known
from tts.types import Usage

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream
    from openai.types.chat import ChatCompletionChunk
    from openai.types.chat.chat_completion_chunk import ChoiceDelta, ChoiceLogprobs
    from openai.types.completion_usage import CompletionUsage

STOPS: Mapping[str, Stop] = {"length": "length", "content_filter": "refused"}


class OpenAIChat:
    """One model behind Chat Completions. `n` answers come from one request and share its prompt."""

    def __init__(self, client: AsyncOpenAI, provider: str, model: str) -> None:
        self.client, self.provider, self.model = client, provider, model
        self.host, self.place = client.base_url.host, client.base_url.netloc.decode()
        self._own = self.host.endswith((".openai.com", ".azure.com")) or provider == "azure"

    @asynccontextmanager
    async def stream(self, ask: Ask, settings: Settings) -> AsyncGenerator[AsyncIterator[Event]]:
        """Return the answers as they come."""
        create: Any = self.client.chat.completions.create
        stream: AsyncStream[ChatCompletionChunk] = await create(**self._request(ask, settings))
        async with closed(stream), aclosing(_events(stream, ask.logprobs)) as events:
            yield events

    async def known(self) -> Sequence[str]:
        """Return this model, or what the server knows in its place; empty: it cannot tell."""
        if self.provider == "azure":
            return ()
        return await known(self.client.models, self.model, own=self._own)

    def _request(self, ask: Ask, settings: Settings) -> dict[str, Any]:
        turns = [{"role": turn.role, "content": turn.text} for turn in ask.turns]
        cap = "max_completion_tokens" if self._own else "max_tokens"
        request: dict[str, Any] = {
            "model": self.model,
            "messages": [*_opening(ask), *turns],
            "stream": True,
            "stream_options": {"include_usage": True},
            cap: settings.max_output_tokens,
        }
        if ask.n > 1:
            request["n"] = ask.n
        if settings.temperature is not None:
            request["temperature"] = settings.temperature
        if ask.seed is not None and not self._own:  # its newer models refuse one
            request["seed"] = ask.seed % 2**31
        if ask.schema is not None and settings.schemas:
            form = {"name": ask.schema_name, "schema": ask.schema, "strict": True}
            request["response_format"] = {"type": "json_schema", "json_schema": form}
        if ask.logprobs:
            request |= {"logprobs": True, "top_logprobs": ask.logprobs}
        return request | {"extra_body": dict(settings.options)}


def _opening(ask: Ask) -> list[dict[str, str]]:
    user = {"role": "user", "content": "\n\n".join(ask.parts)}
    return [{"role": "system", "content": ask.system}, user] if ask.system else [user]


async def _events(stream: AsyncIterator[ChatCompletionChunk], logprobs: int) -> AsyncGenerator[Event]:
    began = False
    refused: set[int] = set()
    async for chunk in stream:
        if not began:
            began = True
            yield Began()
        for choice in chunk.choices or ():
            delta = _delta(choice.index, choice.delta, _likeliest(choice.logprobs, logprobs))
            if delta is not None:
                yield delta
            if choice.delta and choice.delta.refusal:
                refused.add(choice.index)
            if choice.finish_reason is not None:
                stop = "refused" if choice.index in refused else STOPS.get(choice.finish_reason, "end")
                yield Ended(choice.index, stop)
        if chunk.usage is not None:
            yield Billed(usage_of(chunk.usage))


def _likeliest(told: ChoiceLogprobs | None, n: int) -> tuple[tuple[float, ...], ...]:
    """Return the log-probabilities of the n likeliest tokens at each place; nothing where n is 0."""
    tokens = (told.content or told.refusal or ()) if told is not None and n else ()
    return tuple(tuple(float(one.logprob) for one in (token.top_logprobs or ())[:n]) for token in tokens)


def _delta(index: int, delta: ChoiceDelta | None, logprobs: tuple[tuple[float, ...], ...]) -> Delta | None:
    """Return a piece; compatible servers name their thinking `reasoning_content` or `reasoning`."""
    if delta is None:
        return Delta(index, logprobs=logprobs) if logprobs else None
    more = cast("Mapping[str, Any]", delta.model_extra or {})
    thinking = more.get("reasoning_content") or more.get("reasoning")
    shown = thinking if isinstance(thinking, str) else ""
    text = delta.content or delta.refusal or ""
    return Delta(index, text, shown, logprobs) if text or shown or logprobs else None


def usage_of(usage: CompletionUsage) -> Usage:
    """Return a request's usage in our words."""
    prompt, output = usage.prompt_tokens_details, usage.completion_tokens_details
    return Usage(
        calls=1,
        input_tokens=usage.prompt_tokens or 0,
        cached_input_tokens=(prompt and prompt.cached_tokens) or 0,
        cache_write_tokens=(prompt and getattr(prompt, "cache_write_tokens", None)) or 0,
        output_tokens=usage.completion_tokens or 0,
        reasoning_tokens=(output and output.reasoning_tokens) or 0,
    )
