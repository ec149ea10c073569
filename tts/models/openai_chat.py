"""OpenAI's Chat Completions, and whatever server speaks them: vLLM, Ollama, llama.cpp, Azure."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

from tts.models.chat import Ask, Began, Billed, Delta, Ended, Event, Settings, Stop
from tts.models.listing import known
from tts.models.streams import Raw, part, posted
from tts.types import Usage

if TYPE_CHECKING:
    from openai import AsyncOpenAI

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
        from openai import AsyncStream

        request = posted(self.client, "/chat/completions", self._request(ask, settings), AsyncStream)
        async with request as stream, aclosing(_events(stream, ask.logprobs)) as events:
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
        return request | dict(settings.options)


def _opening(ask: Ask) -> list[dict[str, str]]:
    user = {"role": "user", "content": "\n\n".join(ask.parts)}
    return [{"role": "system", "content": ask.system}, user] if ask.system else [user]


async def _events(stream: AsyncIterator[Raw], logprobs: int) -> AsyncGenerator[Event]:
    began = False
    refused: set[int] = set()
    async for chunk in stream:
        if not began:
            began = True
            yield Began()
        choices: Sequence[Raw] = chunk.get("choices") or ()
        for choice in choices:
            index, said = choice.get("index", 0), part(choice, "delta")
            likeliest = _likeliest(part(choice, "logprobs"), logprobs) if logprobs else ()
            delta = _delta(index, said, likeliest)
            if delta is not None:
                yield delta
            if said.get("refusal"):
                refused.add(index)
            if reason := choice.get("finish_reason"):
                yield Ended(index, "refused" if index in refused else STOPS.get(reason, "end"))
        if chunk.get("usage"):
            yield Billed(usage_of(chunk["usage"]))


def _likeliest(told: Raw, n: int) -> tuple[tuple[float, ...], ...]:
    """Return the log-probabilities of the n likeliest tokens at each place."""
    tokens: Sequence[Raw] = told.get("content") or told.get("refusal") or ()
    likeliest: list[Sequence[Raw]] = [token.get("top_logprobs") or () for token in tokens]
    return tuple(tuple(float(one["logprob"]) for one in some[:n]) for some in likeliest)


def _delta(index: int, said: Raw, logprobs: tuple[tuple[float, ...], ...]) -> Delta | None:
    """Return a piece; compatible servers name their thinking `reasoning_content` or `reasoning`."""
    thinking = said.get("reasoning_content") or said.get("reasoning")
    shown = thinking if isinstance(thinking, str) else ""
    text = said.get("content") or said.get("refusal") or ""
    return Delta(index, text, shown, logprobs) if text or shown or logprobs else None


def usage_of(usage: Raw) -> Usage:
    """Return a request's usage in our words."""
    prompt = part(usage, "prompt_tokens_details")
    output = part(usage, "completion_tokens_details")
    return Usage(
        calls=1,
        input_tokens=usage.get("prompt_tokens") or 0,
        cached_input_tokens=prompt.get("cached_tokens") or 0,
        cache_write_tokens=prompt.get("cache_write_tokens") or 0,
        output_tokens=usage.get("completion_tokens") or 0,
        reasoning_tokens=output.get("reasoning_tokens") or 0,
    )
