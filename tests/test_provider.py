import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import anyio
import httpx2
import openai
import pytest
from anthropic import AsyncAnthropic
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI

from tts.testing.provider import (
    Asked,
    Fault,
    ModelServer,
    Says,
    Script,
    ToolCall,
    count_tokens,
    default_script,
    faulty,
    split_tokens,
)
from tts.testing.provider.tokens import Block, Prefixes, automatic, by_breakpoints

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"pick": {"enum": ["B", "A"]}, "why": {"type": "string"}, "sure": {"type": "number"}},
    "required": ["pick", "why", "sure"],
    "additionalProperties": False,
}
USER: list[Any] = [{"role": "user", "content": "Why?"}]
STREAM: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
FORMAT: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {"name": "a", "schema": SCHEMA, "strict": True},
}


class Clients:
    def __init__(self, server: ModelServer, key: str = "sk-test") -> None:
        self.server = server
        # Without its certificates an HTTP client is made in no time.
        web = [httpx2.AsyncClient(verify=False) for _ in range(2)]
        given: dict[str, Any] = {"api_key": key, "max_retries": 0}
        self.openai = AsyncOpenAI(base_url=server.openai_url, http_client=web[0], **given)
        self.anthropic = AsyncAnthropic(base_url=server.anthropic_url, http_client=web[1], **given)

    async def chat(self, **given: Any) -> Any:
        return await self.openai.chat.completions.create(**{"model": "m", "messages": USER, **given})

    async def respond(self, **given: Any) -> Any:
        return await self.openai.responses.create(**{"model": "m", "input": "Why?", **given})

    async def message(self, **given: Any) -> Any:
        return await self.anthropic.messages.create(
            **{"model": "m", "messages": USER, "max_tokens": 1000, **given}
        )


def served(
    script: Script | Says | Fault,
    do: Callable[[Clients], Awaitable[Any]],
    *,
    key: str = "sk-test",
    **options: Any,
) -> Any:
    """Return what `do` returns, done with clients of a server with this script."""

    async def main(server: ModelServer) -> Any:
        clients = Clients(server, key)
        async with clients.openai, clients.anthropic:
            return await do(clients)

    with ModelServer(script if callable(script) else lambda _: script, **options) as server:
        return anyio.run(main, server)


async def chunks(stream: Any, heard: list[Any] | None = None) -> list[Any]:
    """Return all that comes; `heard` has it even when the stream breaks."""
    heard = [] if heard is None else heard
    async for chunk in stream:
        heard.append(chunk)
    return heard


def said(chunks: list[Any], field: str = "content", choice: int = 0) -> str:
    deltas = [c.delta for chunk in chunks for c in chunk.choices if c.index == choice]
    return "".join(getattr(delta, field, None) or "" for delta in deltas)


# Tokens and caches


@given(st.text())
def test_tokens_are_four_bytes_each_and_make_up_the_text(text: str) -> None:
    pieces = split_tokens(text)
    assert "".join(pieces) == text
    assert len(pieces) == count_tokens(text) == -(-len(text.encode()) // 4)


def test_the_automatic_cache_counts_in_steps_from_1024_tokens() -> None:
    prefixes, prompt = Prefixes(), "x" * 4 * 1500
    first = automatic(prefixes, "m", prompt)
    assert (first.prompt.tokens, first.prompt.cached_tokens) == (1500, 0)
    assert automatic(prefixes, "m", prompt).prompt.cached_tokens == 0  # not kept before the answer began
    prefixes.write(first.writes)
    assert automatic(prefixes, "m", prompt).prompt.cached_tokens == 1408
    assert automatic(prefixes, "other", prompt).prompt.cached_tokens == 0
    assert automatic(prefixes, "m", prompt[: 4 * 1100] + "y" * 4000).prompt.cached_tokens == 1024
    assert automatic(prefixes, "m", prompt[: 4 * 900] + "y" * 4000).prompt.cached_tokens == 0


def blocks(*tokens: int, marks: tuple[int, ...] = ()) -> list[Block]:
    return [Block("user 0", f"{at:03}".ljust(4 * n - 2, "x"), at in marks) for at, n in enumerate(tokens)]


def test_a_breakpoint_reads_the_longest_prefix_and_writes_the_rest() -> None:
    prefixes = Prefixes()
    first = by_breakpoints(prefixes, "m", blocks(2000, 1000, 10, marks=(0,)))
    assert (first.prompt.cached_tokens, first.prompt.cache_write_tokens) == (0, 2000)
    assert first.prompt.fresh_tokens == first.prompt.tokens - 2000
    prefixes.write(first.writes)
    second = by_breakpoints(prefixes, "m", blocks(2000, 1000, 10, marks=(0, 1)))
    assert (second.prompt.cached_tokens, second.prompt.cache_write_tokens) == (2000, 1000)
    prefixes.write(second.writes)
    looked_back = by_breakpoints(prefixes, "m", blocks(2000, 1000, 10, marks=(2,)))
    assert looked_back.prompt.cached_tokens == 3000
    assert looked_back.prompt.fresh_tokens == 0


def test_a_breakpoint_looks_back_at_most_twenty_blocks() -> None:
    prefixes = Prefixes()
    prefixes.write(by_breakpoints(prefixes, "m", blocks(2000, marks=(0,))).writes)
    near, far = blocks(2000, *[10] * 19, marks=(19,)), blocks(2000, *[10] * 20, marks=(20,))
    assert by_breakpoints(prefixes, "m", near).prompt.cached_tokens == 2000
    assert by_breakpoints(prefixes, "m", far).prompt.cached_tokens == 0


def test_short_prefixes_are_not_cached_and_old_ones_are_forgotten() -> None:
    now = [0.0]
    prefixes = Prefixes(lambda: now[0])
    short = by_breakpoints(prefixes, "m", blocks(1000, 10, marks=(0,)))
    assert short.prompt.cache_write_tokens == 0
    long = blocks(2000, 10, marks=(0,))
    prefixes.write(by_breakpoints(prefixes, "m", long).writes)
    now[0] = 290.0
    assert by_breakpoints(prefixes, "m", long).prompt.cached_tokens == 2000
    now[0] = 580.0  # the use at 290 prolonged its life
    assert by_breakpoints(prefixes, "m", long).prompt.cached_tokens == 2000
    now[0] = 881.0
    assert by_breakpoints(prefixes, "m", long).prompt.cached_tokens == 0


# Answers


def test_chat_streams_a_token_an_event_with_thinking_and_usage() -> None:
    async def do(clients: Clients) -> Any:
        return await chunks(await clients.chat(**STREAM))

    got = served(Says("The ansŵer is 42.", thinking="let me see"), do)
    assert said(got) == "The ansŵer is 42."
    assert said(got, "reasoning_content") == "let me see"
    assert got[-1].choices == []
    usage = got[-1].usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (1, 3 + 5)
    assert usage.completion_tokens_details.reasoning_tokens == 3
    assert sum(bool(c.delta.content) for chunk in got for c in chunk.choices) == 5
    assert [c.finish_reason for chunk in got for c in chunk.choices if c.finish_reason] == ["stop"]


def test_chat_tells_usage_only_when_asked() -> None:
    async def do(clients: Clients) -> Any:
        return await chunks(await clients.chat(stream=True))

    assert all(chunk.usage is None and chunk.choices for chunk in served(Says("So."), do))


def test_n_choices_share_the_prompt_and_come_side_by_side() -> None:
    says = Says(["one two three four", "five"])

    async def do(clients: Clients) -> Any:
        return (
            await chunks(await clients.chat(n=3, **STREAM)),
            await clients.chat(n=3),
            clients.server.requests,
        )

    got, whole, records = served(says, do)
    texts = ["one two three four", "five", "one two three four"]
    assert [said(got, choice=choice) for choice in range(3)] == texts
    assert [choice.message.content for choice in whole.choices] == texts
    order = [c.index for chunk in got for c in chunk.choices if c.delta.content]
    assert order[:3] == [0, 1, 2]
    assert order[3:5] == [0, 2]
    for usage in (got[-1].usage, whole.usage):
        assert (usage.prompt_tokens, usage.completion_tokens) == (1, 5 + 1 + 5)
    assert [record.output_tokens for record in records] == [11, 11]


def test_a_server_may_ignore_n() -> None:
    async def do(clients: Clients) -> Any:
        return await clients.chat(n=3)

    assert len(served(Says("So."), do, honours_n=False).choices) == 1


def test_the_field_of_reasoning_and_the_tokens_of_an_event_can_be_chosen() -> None:
    async def do(clients: Clients) -> Any:
        return await chunks(await clients.chat(stream=True)), await clients.chat()

    says = Says("four four four four ", thinking_tokens=5)
    got, whole = served(says, do, reasoning_field="reasoning", tokens_per_event=3)
    assert said(got, "reasoning") == whole.choices[0].message.reasoning == "hmm " * 5
    assert [c.delta.content for chunk in got for c in chunk.choices if c.delta.content] == [
        "four four fo",
        "ur four ",
    ]


def test_hidden_thinking_is_billed_and_not_shown() -> None:
    async def do(clients: Clients) -> Any:
        chat = await chunks(await clients.chat(**STREAM))
        message = await clients.message()
        return chat, message, await clients.respond(), clients.server.requests

    chat, message, response, records = served(Says("Yes.", thinking_tokens=9, hidden_thinking=True), do)
    assert said(chat, "reasoning_content") == ""
    assert chat[-1].usage.completion_tokens_details.reasoning_tokens == 9
    assert message.content[0].thinking == ""
    assert message.usage.output_tokens_details.thinking_tokens == 9
    assert response.usage.output_tokens_details.reasoning_tokens == 9
    assert response.output[0].summary == []
    assert [(r.output_tokens, r.thinking_tokens, r.tokens_sent) for r in records] == [(10, 9, 1)] * 3


def test_messages_stream_blocks_and_usage() -> None:
    async def do(clients: Clients) -> Any:
        stream = clients.anthropic.messages.stream(model="m", messages=USER, max_tokens=99)
        async with stream as events:
            kinds = [event.type async for event in events]
            return kinds, await events.get_final_message()

    kinds, message = served(Says("It is so.", thinking="because"), do)
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-1] == "message_stop"
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert (message.content[0].thinking, message.content[1].text) == ("because", "It is so.")
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", 5)
    assert message.usage.output_tokens_details.thinking_tokens == 2


@pytest.mark.parametrize("events", ["summary", "text"])
def test_responses_stream_items_and_usage(events: str) -> None:
    async def do(clients: Clients) -> Any:
        async with clients.openai.responses.stream(
            model="m", input="Why?", instructions="Be brief."
        ) as stream:
            told = [event async for event in stream]
            return told, await stream.get_final_response(), clients.server.requests[0].asked

    told, response, asked = served(Says("It is so.", thinking="because"), do, reasoning_events=events)
    assert [event.sequence_number for event in told] == list(range(len(told)))
    word = "reasoning_summary_text" if events == "summary" else "reasoning_text"
    assert sum(event.type == f"response.{word}.delta" for event in told) == 2
    assert response.output_text == "It is so."
    assert (response.usage.input_tokens, response.usage.output_tokens) == (count_tokens(asked.prompt), 5)
    assert (asked.system, asked.messages) == ("Be brief.", (("user", "Why?"),))


def test_the_cap_on_tokens_ends_an_answer() -> None:
    async def do(clients: Clients) -> Any:
        chat = await clients.chat(max_completion_tokens=3)
        return chat, await clients.message(max_tokens=3), await clients.respond(max_output_tokens=3)

    chat, message, response = served(Says("one two three four", thinking="hm"), do)
    assert (chat.choices[0].finish_reason, chat.choices[0].message.content) == ("length", "one two ")
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 3)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def test_a_refusal_has_the_shape_of_each_api() -> None:
    async def do(clients: Clients) -> Any:
        streamed = await chunks(await clients.chat(stream=True))
        return streamed, await clients.chat(), await clients.message(), await clients.respond()

    streamed, chat, message, response = served(Fault("refusal"), do)
    assert said(streamed, "refusal") == chat.choices[0].message.refusal != ""
    assert chat.choices[0].message.content is None
    assert chat.choices[0].finish_reason == "content_filter"
    assert (message.stop_reason, message.stop_details.type) == ("refusal", "refusal")
    assert response.output[0].content[0].type == "refusal"


def test_schemas_are_read_and_filled() -> None:
    async def do(clients: Clients) -> Any:
        chat = await clients.chat(response_format=FORMAT)
        message = await clients.message(output_config={"format": {"type": "json_schema", "schema": SCHEMA}})
        text = {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}}
        response = await clients.respond(text=text)
        schemas = [record.asked.schema for record in clients.server.requests if record.asked]
        return chat.choices[0].message.content, message.content[0].text, response.output_text, schemas

    *answers, schemas = served(default_script, do)
    assert [json.loads(answer) for answer in answers] == [{"pick": "B", "why": "text", "sure": 0.5}] * 3
    assert schemas == [SCHEMA] * 3


def test_a_server_may_refuse_schemas() -> None:
    async def do(clients: Clients) -> None:
        with pytest.raises(openai.BadRequestError, match="not supported"):
            await clients.chat(response_format=FORMAT)
        with pytest.raises(anthropic.BadRequestError, match="not supported"):
            await clients.message(output_config={"format": {"type": "json_schema", "schema": SCHEMA}})

    served(default_script, do, schemas=False)


def test_faults_of_content_are_answers() -> None:
    async def do(clients: Clients) -> Any:
        chat = await clients.chat(response_format=FORMAT)
        return chat.choices[0].message.content, chat.choices[0].finish_reason

    answer, finish = served(Fault("wrong_schema"), do)
    assert finish == "stop"
    assert "pick" not in json.loads(answer)
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(served(Says("{}", fault=Fault("not_json")), do)[0])


def test_asked_holds_what_was_asked_and_no_key() -> None:
    async def do(clients: Clients) -> Any:
        messages = [{"role": "system", "content": "Be brief."}, *USER]
        await clients.chat(messages=messages, seed=7, temperature=0.5, max_tokens=9)
        return clients.server.requests[0].asked

    asked = served(Says("So."), do, key="sk-secret")
    assert (asked.api, asked.model, asked.index) == ("chat", "m", 0)
    assert (asked.seed, asked.temperature, asked.max_tokens) == (7, 0.5, 9)
    assert (asked.system, asked.messages) == ("Be brief.", (("user", "Why?"),))
    assert asked.prompt == "Be brief.\n\nWhy?"
    assert asked.came_with("sk-secret")
    assert not asked.came_with("sk-other")
    assert "sk-secret" not in repr(asked)


# Usage and caching over the wire


def test_openai_reads_the_prefix_it_has_seen() -> None:
    long = [{"role": "user", "content": "x" * 4 * 1500}]

    async def do(clients: Clients) -> Any:
        return [(await clients.chat(messages=long)).usage for _ in range(2)], clients.server.billed

    usages, bill = served(Says("So."), do)
    assert [usage.prompt_tokens_details.cached_tokens for usage in usages] == [0, 1408]
    assert (bill.requests, bill.prompt_tokens, bill.cached_tokens, bill.output_tokens) == (2, 3000, 1408, 2)


def parts(*texts: str) -> list[Any]:
    mark = {"cache_control": {"type": "ephemeral"}}
    return [{"role": "user", "content": [{"type": "text", "text": text, **mark} for text in texts]}]


def test_anthropic_caches_at_breakpoints_once_an_answer_has_begun() -> None:
    shared, one, other = "s" * 4 * 2000, "a" * 38, "b" * 38

    async def do(clients: Clients) -> Any:
        first = await clients.message(messages=parts(shared, one), stream=True)
        start = await anext(aiter(first))  # the first has only begun: that is enough
        second = await clients.message(messages=parts(shared, other), max_tokens=1)
        await first.close()
        return start.message.usage, second.usage

    first, second = served(Says("So. " * 500, seconds_per_token=0.02), do)
    assert (first.input_tokens, first.cache_creation_input_tokens, first.cache_read_input_tokens) == (
        0,
        2010,
        0,
    )
    assert (second.input_tokens, second.cache_creation_input_tokens) == (0, 10)
    assert second.cache_read_input_tokens == 2000


def test_anthropic_writes_twice_what_is_asked_before_the_first_answer_began() -> None:
    async def do(clients: Clients) -> Any:
        usages: list[Any] = []

        async def ask() -> None:
            usages.append((await clients.message(messages=parts("s" * 4 * 2000))).usage)

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            group.start_soon(ask)
        return usages

    usages = served(Says("So.", seconds_to_first=0.1), do)
    assert [usage.cache_creation_input_tokens for usage in usages] == [2000, 2000]


def test_anthropic_takes_four_breakpoints() -> None:
    async def do(clients: Clients) -> None:
        await clients.message(messages=parts(*"abcd"))
        with pytest.raises(anthropic.BadRequestError, match="maximum of 4 blocks"):
            await clients.message(messages=parts(*"abcde"))

    served(Says("So."), do)


# Faults


@pytest.mark.parametrize(
    ("kind", "of_openai", "of_anthropic", "anthropic_type"),
    [
        ("401", openai.AuthenticationError, anthropic.AuthenticationError, "authentication_error"),
        ("404", openai.NotFoundError, anthropic.NotFoundError, "not_found_error"),
        ("408", openai.APIStatusError, anthropic.RequestTimeoutError, "timeout_error"),
        ("409", openai.ConflictError, anthropic.ConflictError, "conflict_error"),
        ("429", openai.RateLimitError, anthropic.RateLimitError, "rate_limit_error"),
        ("500", openai.InternalServerError, anthropic.InternalServerError, "api_error"),
        ("503", openai.InternalServerError, anthropic.ServiceUnavailableError, "api_error"),
        ("529", openai.InternalServerError, anthropic.OverloadedError, "overloaded_error"),
        ("quota", openai.RateLimitError, anthropic.BadRequestError, "invalid_request_error"),
        ("context", openai.BadRequestError, anthropic.BadRequestError, "invalid_request_error"),
    ],
)
def test_an_error_status_is_the_error_that_the_sdk_has_for_it(
    kind: Any, of_openai: Any, of_anthropic: Any, anthropic_type: str
) -> None:
    async def do(clients: Clients) -> None:
        for ask in (clients.chat, clients.respond):
            with pytest.raises(of_openai):
                await ask(stream=True)
        with pytest.raises(of_anthropic) as caught:
            await clients.message(stream=True)
        assert caught.value.type == anthropic_type
        assert {record.fault for record in clients.server.requests} == {kind}
        assert clients.server.billed.requests == 0

    served(Fault(kind), do)


def test_openai_names_quota_and_context_in_the_code() -> None:
    async def do(clients: Clients) -> Any:
        with pytest.raises(openai.APIStatusError) as caught:
            await clients.chat()
        return caught.value.code

    assert served(Fault("quota"), do) == "insufficient_quota"
    assert served(Fault("context"), do) == "context_length_exceeded"
    assert served(Says("So."), do, context_tokens=0) == "context_length_exceeded"


@pytest.mark.parametrize(
    ("seconds", "header"), [(3, ("retry-after", "3")), (0.25, ("retry-after-ms", "250"))]
)
def test_a_rate_limit_says_when_to_come_back(seconds: float, header: tuple[str, str]) -> None:
    async def do(clients: Clients) -> None:
        for ask in (clients.chat, clients.message):
            with pytest.raises((openai.RateLimitError, anthropic.RateLimitError)) as caught:
                await ask()
            assert caught.value.response.headers[header[0]] == header[1]

    served(Fault("429", retry_after_seconds=seconds), do)


def test_an_error_may_echo_the_key() -> None:
    async def do(clients: Clients) -> None:
        for ask in (clients.chat, clients.message):
            with pytest.raises((openai.BadRequestError, anthropic.BadRequestError), match="sk-secret"):
                await ask()

    served(Fault("error_echo"), do, key="sk-secret")


def test_an_overload_may_come_in_the_middle_of_a_stream() -> None:
    async def do(clients: Clients) -> Any:
        heard: list[Any] = []
        stream = await clients.message(stream=True)
        with pytest.raises(anthropic.APIStatusError) as caught:
            await chunks(stream, heard)
        assert caught.value.type == "overloaded_error"
        stream = await clients.chat(stream=True)
        with pytest.raises(openai.APIError, match="overloaded"):
            await chunks(stream)
        *_, last = await chunks(await clients.respond(stream=True))
        assert (last.type, last.response.error.code) == ("response.failed", "server_error")
        with pytest.raises(anthropic.OverloadedError):
            await clients.message()
        return [event.delta.text for event in heard if event.type == "content_block_delta"]

    assert served(Says("one two three", fault=Fault("529", after_tokens=2)), do) == ["one ", "two "]


@pytest.mark.parametrize("streaming", [True, False])
def test_a_cut_is_a_broken_connection(streaming: bool) -> None:
    async def do(clients: Clients) -> Any:
        async def ask(one: Any) -> None:
            got = await one(stream=streaming)
            if streaming:
                await chunks(got)

        for one in (clients.chat, clients.respond):
            with pytest.raises(openai.APIConnectionError):
                await ask(one)
        with pytest.raises((httpx2.RemoteProtocolError, anthropic.APIConnectionError)):
            await ask(clients.message)
        return clients.server.requests

    records = served(Says("one two three", fault=Fault("cut", after_tokens=2)), do)
    assert [(record.output_tokens, record.closed_by) for record in records] == [(2, "server")] * 3


def test_a_short_stream_ends_without_an_end() -> None:
    async def do(clients: Clients) -> Any:
        chat, message = (
            await chunks(await clients.chat(**STREAM)),
            await chunks(await clients.message(stream=True)),
        )
        return chat, message, await chunks(await clients.respond(stream=True))

    chat, message, response = served(Says("one two three", fault=Fault("short", after_tokens=2)), do)
    assert said(chat) == "one two "
    assert all(chunk.usage is None for chunk in chat)
    assert all(choice.finish_reason is None for chunk in chat for choice in chunk.choices)
    assert message[-1].type == "content_block_delta"
    assert response[-1].type == "response.output_text.delta"


@pytest.mark.parametrize("streaming", [True, False])
def test_malformed_answers_are_no_json(streaming: bool) -> None:
    async def do(clients: Clients) -> None:
        async def whole(ask: Any) -> None:
            await chunks(await ask(stream=streaming))

        for ask in (clients.chat, clients.respond, clients.message):
            with pytest.raises((json.JSONDecodeError, openai.APIError, anthropic.APIError)):
                await whole(ask)

    served(Fault("malformed"), do)


@pytest.mark.parametrize("streaming", [True, False])
def test_a_stall_lasts_until_the_client_leaves(streaming: bool) -> None:
    async def do(clients: Clients) -> Any:
        for ask in (clients.chat, clients.respond, clients.message):
            with pytest.raises((openai.APITimeoutError, anthropic.APITimeoutError)):
                await ask(stream=streaming, timeout=0.1)
        await clients.server.until(lambda server: len(server.requests) == 3)
        return clients.server.requests

    for record in served(Fault("stall"), do):
        assert (record.status, record.tokens_sent, record.closed_by) == (None, 0, "client")


def test_a_stream_may_stall_on_its_way() -> None:
    async def do(clients: Clients) -> Any:
        stream = await clients.chat(stream=True)
        with anyio.move_on_after(0.2):
            await chunks(stream)
        await stream.close()
        await clients.server.until(lambda server: len(server.requests) == 1)
        return clients.server.requests[0]

    record = served(Says("one two three", fault=Fault("stall_after", after_tokens=2)), do)
    assert (record.status, record.tokens_sent, record.closed_by) == (200, 2, "client")


def test_faulty_fails_the_same_share_again() -> None:
    script = faulty(default_script, 0.3, ["500", "cut"], seed=1)
    asked = [Asked("chat", "m", index, "", (), "") for index in range(1000)]
    drawn = [script(one) for one in asked]
    assert drawn == [script(one) for one in asked]
    kinds = [one.fault.kind for one in drawn if isinstance(one, Says) and one.fault]
    assert 250 < len(kinds) < 350
    assert set(kinds) == {"500", "cut"}
    assert drawn != [faulty(default_script, 0.3, ["500"], seed=2)(one) for one in asked]


# What is counted


@pytest.mark.parametrize("api", ["chat", "respond", "message"])
def test_a_client_that_leaves_is_noticed_at_once(api: str) -> None:
    async def do(clients: Clients) -> Any:
        stream = await getattr(clients, api)(stream=True)
        await clients.server.until(lambda server: server.open[0].tokens_sent >= 10)
        left = time.monotonic()
        await stream.close()
        await clients.server.until(lambda server: server.connections_open == 0)
        return left, clients.server.requests[0]

    left, record = served(Says(thinking_tokens=10_000, seconds_per_token=0.005), do)
    assert record.closed_by == "client"
    assert record.closed_at - left < 0.5
    assert 10 <= record.tokens_sent == len(record.sent_at) < 200
    assert sum(at > left for at in record.sent_at) < 50


def test_a_client_that_leaves_an_unpaced_stream_is_noticed() -> None:
    async def do(clients: Clients) -> Any:
        stream = await clients.chat(stream=True)
        await anext(aiter(stream))
        await stream.close()
        await clients.server.until(lambda server: server.connections_open == 0)
        return clients.server.requests[0]

    record = served(Says(thinking_tokens=500_000), do)
    assert record.closed_by == "client"
    assert record.tokens_sent < 500_000


def test_tokens_keep_to_their_schedule() -> None:
    async def do(clients: Clients) -> Any:
        before = time.monotonic()
        await clients.chat()
        await chunks(await clients.chat(stream=True))
        return before, clients.server.requests

    before, records = served(Says("x" * 4 * 20, seconds_to_first=0.05, seconds_per_token=0.01), do)
    assert records[0].closed_at - before >= 0.05 + 19 * 0.01
    for record in records:
        gaps = [at - record.opened_at for at in record.sent_at]
        assert all(gap >= 0.05 + i * 0.01 - 0.001 for i, gap in enumerate(gaps))


def test_counts_of_many_at_once_add_up() -> None:
    async def do(clients: Clients) -> Any:
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(clients.chat)
                group.start_soon(clients.message)
        return clients.server

    server = served(lambda asked: Says("x" * 4 * (asked.index + 1)), do)
    assert sorted(record.index for record in server.requests) == list(range(20))
    assert server.tokens_sent == server.billed.output_tokens == sum(range(1, 21))
    assert (server.billed.prompt_tokens, server.connections_open) == (20, 0)


def test_what_is_kept_can_be_bounded() -> None:
    async def do(clients: Clients) -> Any:
        await clients.chat()
        return clients.server.requests[0]

    record = served(Says("So."), do, keep_asked=False, keep_times=False)
    assert (record.asked, len(record.sent_at), record.tokens_sent) == (None, 0, 1)


def test_waiting_gives_up() -> None:
    with ModelServer() as server, pytest.raises(TimeoutError, match="within"):
        server.wait_until(lambda one: bool(one.requests), 0.01)


# Keys, models, life


def test_the_models_are_listed_in_the_shape_of_each_api() -> None:
    async def do(clients: Clients) -> None:
        for client in (clients.openai, clients.anthropic):
            assert [model.id async for model in client.models.list()] == ["m1", "org/m2"]
            assert (await client.models.retrieve("org/m2")).id == "org/m2"
        for missing in (clients.openai.models.retrieve("m3"), clients.chat(model="m3")):
            with pytest.raises(openai.NotFoundError, match="m3"):
                await missing
        for missing in (clients.anthropic.models.retrieve("m3"), clients.message(model="m3")):
            with pytest.raises(anthropic.NotFoundError, match="m3"):
                await missing

    served(default_script, do, models=("m1", "org/m2"))


def test_a_server_may_have_no_list_of_models() -> None:
    async def do(clients: Clients) -> None:
        with pytest.raises(openai.NotFoundError):
            await clients.openai.models.list()
        with pytest.raises(anthropic.NotFoundError):
            await clients.anthropic.models.list()

    served(default_script, do, lists_models=False)


def test_only_its_keys_open_a_server() -> None:
    async def do(clients: Clients) -> None:
        for ask in (clients.chat, clients.respond, clients.openai.models.list):
            with pytest.raises(openai.AuthenticationError):
                await ask()
        for ask in (clients.message, clients.anthropic.models.list):
            with pytest.raises(anthropic.AuthenticationError):
                await ask()

    served(default_script, do, keys=("k",))
    with ModelServer(keys=("k",)) as server:
        assert server.environment["ANTHROPIC_API_KEY"] == "k"


@pytest.mark.parametrize(
    "body", ["{", "[]", "{}", '{"model": "m"}', '{"model": "m", "messages": [3], "max_tokens": 1}']
)
def test_a_body_that_asks_nothing_is_a_bad_request(body: str) -> None:
    with ModelServer() as server, httpx2.Client(base_url=server.anthropic_url) as client:
        for path in ("/v1/chat/completions", "/v1/responses", "/v1/messages"):
            answer = client.post(path, content=body)
            assert (answer.status_code, set(answer.json()) >= {"error"}) == (400, True)


def test_leaving_drops_open_streams_at_once_and_ends_the_thread() -> None:
    async def main() -> Any:
        with ModelServer(lambda _: Says(thinking_tokens=1000, seconds_per_token=1.0)) as server:
            clients = Clients(server)
            async with clients.openai, clients.anthropic:
                streams = [await clients.chat(stream=True), await clients.message(stream=True)]
                before = time.monotonic()
                server.__exit__(None, None, None)
                took = time.monotonic() - before
                for stream in streams:
                    await stream.close()
        return took, server.requests

    took, records = asyncio.run(main())
    assert took < 0.5
    assert [record.closed_by for record in records] == ["server", "server"]
    assert not [thread for thread in threading.enumerate() if thread.name == "tts-model-server"]


def test_a_script_that_raises_is_raised_when_the_server_is_left() -> None:
    def script(asked: Asked) -> Says:
        raise LookupError("no line for this")

    async def do(clients: Clients) -> None:
        with pytest.raises(openai.InternalServerError, match="no line for this"):
            await clients.chat()

    with pytest.raises(LookupError, match="no line for this"):
        served(script, do)


def test_the_command_serves_until_it_is_interrupted() -> None:
    command = [sys.executable, "-m", "tts.testing.provider", "--model", "m1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as child:
        assert child.stdout is not None
        urls = dict(child.stdout.readline().strip().split("=", 1) for _ in range(2))
        with openai.OpenAI(base_url=urls["OPENAI_BASE_URL"], api_key="k", max_retries=0) as client:
            assert [model.id for model in client.models.list()] == ["m1"]
        child.send_signal(signal.SIGINT)
        assert child.wait(5) == 0


def test_without_its_server_the_import_says_what_to_install() -> None:
    code = "import sys; sys.modules['uvicorn'] = None; import tts.testing.provider"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "needs starlette and uvicorn: pip install" in child.stderr


def test_testing_alone_loads_no_server() -> None:
    code = "import sys, tts.testing; assert not {'uvicorn', 'starlette'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# Tool calls


CALLS = (ToolCall("bash", '{"command": "ls -la src"}'), ToolCall("bash", "not json"))


@pytest.mark.parametrize("size", [1, 3, 50])
def test_tool_calls_are_told_alike_in_one_piece_and_in_a_stream(size: int) -> None:
    async def do(clients: Clients) -> Any:
        stream = await clients.chat(stream=True, stream_options={"include_usage": True})
        return await clients.chat(), await chunks(stream)

    whole, told = served(Says("Let me look.", calls=CALLS), do, tokens_per_event=size)
    (choice,) = whole.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Let me look.")
    calls = [(call.function.name, call.function.arguments) for call in choice.message.tool_calls]
    assert calls == [(call.name, call.arguments) for call in CALLS]
    deltas = [c for chunk in told for c in chunk.choices]
    heard = {0: "", 1: ""}
    for call in [call for c in deltas for call in c.delta.tool_calls or ()]:
        heard[call.index] += call.function.arguments
    assert list(heard.values()) == [call.arguments for call in CALLS]
    assert said(told) == "Let me look."
    assert [c.finish_reason for c in deltas if c.finish_reason] == ["tool_calls"]
    assert told[-1].usage.completion_tokens == whole.usage.completion_tokens == 3 + 1 + 7 + 1 + 2


def test_a_cap_cuts_the_calls_and_leaves_out_what_it_does_not_reach() -> None:
    async def do(clients: Clients) -> Any:
        return await clients.chat(max_tokens=6), await clients.chat(max_tokens=2)

    cut, short = served(Says("Let me look.", calls=CALLS), do)
    assert cut.choices[0].finish_reason == short.choices[0].finish_reason == "length"
    assert [call.function.arguments for call in cut.choices[0].message.tool_calls] == ['{"comman']
    assert short.choices[0].message.tool_calls is None
    assert (cut.usage.completion_tokens, short.usage.completion_tokens) == (6, 2)


def test_a_script_reads_what_was_called_before() -> None:
    first = {"id": "a", "type": "function", "function": {"name": "bash", "arguments": '{"command": "ls"}'}}
    turns = [*USER, {"role": "assistant", "content": None, "tool_calls": [first]}]
    turns.append({"role": "tool", "tool_call_id": "a", "content": "README"})
    heard: list[Asked] = []

    def script(asked: Asked) -> Says:
        heard.append(asked)
        return Says(calls=CALLS)

    reply = served(script, lambda clients: clients.chat(messages=turns))
    assert reply.choices[0].message.content is None
    assert heard[0].messages[1:] == (("assistant", 'bash {"command": "ls"}'), ("tool", "README"))


def test_the_other_apis_are_told_no_calls() -> None:
    async def do(clients: Clients) -> Any:
        with pytest.raises(openai.InternalServerError, match="only Chat Completions"):
            await clients.respond()

    with pytest.raises(ValueError, match="only Chat Completions"):
        served(Says(calls=CALLS), do)


def test_connections_that_come_as_it_closes_are_closed_too(recwarn: pytest.WarningsRecorder) -> None:
    gc.collect()
    recwarn.clear()
    for _ in range(3):
        kept: list[socket.socket] = []
        with ModelServer() as server:
            comers = threading.Thread(target=come, args=(server.port, kept))
            comers.start()
            while len(kept) < 5 and comers.is_alive():
                time.sleep(0)
        comers.join()
        for connection in kept:
            connection.close()
    gc.collect()
    assert [w for w in recwarn if "unclosed" in str(w.message)] == []


def come(port: int, kept: list[socket.socket]) -> None:
    """Connect until nobody listens any more."""
    with contextlib.suppress(OSError):
        while len(kept) < 10_000:
            kept.append(socket.create_connection(("127.0.0.1", port)))
