"""The routes of the provider: three ways to ask, and the lists of models."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tts.testing.provider.answers import Answer, Options, Voice, answered, cut_after
from tts.testing.provider.anthropic_messages import MessagesVoice
from tts.testing.provider.counts import Counts, Live
from tts.testing.provider.errors import error_body, error_status, fault_body, retry_headers
from tts.testing.provider.models import ModelList, api_key, credential
from tts.testing.provider.openai_chat import ChatVoice
from tts.testing.provider.openai_responses import ResponsesVoice
from tts.testing.provider.reading import Read, Refused, read
from tts.testing.provider.script import Api, Fault, Says, Script, digest, settled
from tts.testing.provider.telling import Outlet, Telling
from tts.testing.provider.tokens import Lookup, Prefixes, automatic, by_breakpoints, count_tokens

VOICES: Mapping[Api, Callable[[Answer], Voice]] = {
    "chat": ChatVoice,
    "responses": ResponsesVoice,
    "messages": MessagesVoice,
}


class Provider:
    """What all requests share: the script, the options, the counts and the prompt caches."""

    def __init__(self, script: Script, options: Options, counts: Counts) -> None:
        self.script = script
        self.options = options
        self.counts = counts
        self.openai_cache = Prefixes()
        self.anthropic_cache = Prefixes()
        self.broken: list[Exception] = []

    def look_up(self, given: Read) -> Lookup:
        """Return what the API's prompt cache says of the prompt."""
        asked = given.asked
        if asked.api == "messages":
            return by_breakpoints(self.anthropic_cache, asked.model, given.blocks)
        return automatic(self.openai_cache, asked.model, asked.prompt)

    def keep(self, api: Api, lookup: Lookup) -> None:
        """Cache the prompt: its answer has begun."""
        cache = self.anthropic_cache if api == "messages" else self.openai_cache
        cache.write(lookup.writes)

    def say(self, given: Read) -> Says | Fault:
        """Return what the script says; a script that raises is an error of the server's, kept for its end."""
        try:
            return settled(self.script(given.asked), given.asked)
        except Exception as error:  # noqa: BLE001 - kept, and raised when the server is left
            self.broken.append(error)
            return Fault("500", message=f"the script failed: {error!r}")

    def objection(self, given: Read, key: str) -> Fault | None:
        """Return why the request is not taken, None if it is."""
        options, asked = self.options, given.asked
        if options.keys is not None and key not in options.keys:
            return Fault("401")
        if options.models is not None and asked.model not in options.models:
            return Fault("404")
        if options.context_tokens is not None and count_tokens(asked.prompt) > options.context_tokens:
            return Fault("context")
        if asked.schema is not None and not options.schemas:
            return Fault("400", message=f"Response schemas are not supported with the model `{asked.model}`.")
        return None


class Endpoint:
    """An ASGI application that answers one kind of request."""

    def __init__(self, api: Api, provider: Provider) -> None:
        self._api: Api = api
        self._provider = provider

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, index = Request(scope, receive), self._provider.counts.next_index()
        name = b"request-id" if self._api == "messages" else b"x-request-id"
        outlet = Outlet(send, [(name, f"req_{index}".encode())])
        key = api_key(request)
        try:
            body = json.loads(await request.body())
            given = read(self._api, body, index=index, key=digest(key) if key else "")
        except ClientDisconnect:
            return
        except Refused as refused:
            await outlet.whole(400, error_body(self._api, "400", str(refused), index=index))
        except (ValueError, TypeError, KeyError, AttributeError):
            await outlet.whole(400, error_body(self._api, "400", index=index))
        else:
            await Exchange(self._provider, given, outlet, request).run(receive)


class Exchange:
    """One request that was read, and its answer."""

    def __init__(self, provider: Provider, given: Read, outlet: Outlet, request: Request) -> None:
        self._provider = provider
        self._given = given
        self._outlet = outlet
        self._request = request
        self._live: Live = provider.counts.open(given.asked)

    async def run(self, receive: Receive) -> None:
        """Answer until it is done or the client has left."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._watch, receive, group.cancel_scope)
                await self._answer()
                group.cancel_scope.cancel()
        finally:
            self._live.close()

    async def _watch(self, receive: Receive, scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._live.left = True
        scope.cancel()

    async def _answer(self) -> None:
        objection = self._provider.objection(self._given, api_key(self._request))
        said = objection or self._provider.say(self._given)
        if isinstance(said, Fault):
            await self._fail(said)
        else:
            await self._tell(said)

    async def _fail(self, fault: Fault) -> None:
        api = self._given.asked.api
        self._live.hit(fault.kind)
        self._live.failed(error_status(api, fault.kind))
        await self._outlet.whole(error_status(api, fault.kind), self._error(fault), retry_headers(fault))

    async def _tell(self, says: Says) -> None:
        asked, fault = self._given.asked, says.fault
        lookup = self._provider.look_up(self._given)
        answer = answered(asked, says, lookup.prompt, self._provider.options)
        if fault is not None:
            self._live.hit(fault.kind)
        if fault is not None and fault.kind == "stall":
            await anyio.sleep_forever()
        await anyio.sleep(says.seconds_to_first)
        self._live.began(lookup.prompt)
        self._provider.keep(asked.api, lookup)
        telling = Telling(asked.api, VOICES[asked.api](answer), says, self._live, self._outlet)
        error = self._error(fault) if fault is not None and fault.status is not None else {}
        if asked.stream:
            await telling.stream(cut_after(fault, answer), error)
        else:
            await telling.at_once(cut_after(fault, answer), error)

    def _error(self, fault: Fault) -> dict[str, Any]:
        asked, limit = self._given.asked, self._provider.options.context_tokens or 8192
        tokens = count_tokens(asked.prompt)
        facts = {
            "model": asked.model,
            "tokens": tokens,
            "limit": limit,
            "credential": credential(self._request),
        }
        return fault_body(asked.api, fault, index=asked.index, **facts)


def application(provider: Provider) -> Starlette:
    """Return the application that serves both providers under one address."""
    listed = ModelList(provider.options)
    return Starlette(
        routes=[
            Route("/v1/chat/completions", Endpoint("chat", provider), methods=["POST"]),
            Route(
                "/openai/deployments/{name}/chat/completions", Endpoint("chat", provider), methods=["POST"]
            ),
            Route("/v1/responses", Endpoint("responses", provider), methods=["POST"]),
            Route("/v1/messages", Endpoint("messages", provider), methods=["POST"]),
            Route("/v1/models", listed.all, methods=["GET"]),
            Route("/v1/models/{name:path}", listed.one, methods=["GET"]),
        ]
    )
