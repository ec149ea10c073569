"""The providers: which SDK client stands behind a name, and where its key is."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, Literal, TypeAlias

from tts.errors import UsageError
from tts.models.chat import Wire
from tts.models.connections import Connections
from tts.models.secrets import remembered, scrubbed

Options: TypeAlias = dict[str, Any]

KEYS: Mapping[str, tuple[str, ...]] = {
    "openai": ("OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    "azure": ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN"),
    "bedrock": (),
    "vertex_ai": (),
}
"""The environment variables that may hold a provider's key; Bedrock and Vertex use their cloud's own."""

TOKENS = {"ANTHROPIC_AUTH_TOKEN": "auth_token", "AZURE_OPENAI_AD_TOKEN": "azure_ad_token"}
"""What an SDK calls a key that is no API key."""

CONNECT_SECONDS = 30.0
NO_KEY = "no-key"
"""What a server of the user's own is sent where no key is set: most of them want none."""

PRO = ("o1-pro", "o3-pro", "gpt-5-pro", "codex-mini-latest", "gpt-5-codex", "o3-deep-research")
"""Models that answer through Responses alone; others are asked there as `openai/responses/NAME`."""


def split(name: str) -> tuple[str, str]:
    """Return provider and model of a name such as `openai/gpt-5`.

    Raises:
        UsageError: it has another form, or nobody knows the provider.
    """
    provider, slash, model = name.partition("/")
    if provider not in KEYS or not slash or not model.strip():
        raise UsageError(
            f"{name!r} is no model: write PROVIDER/NAME with one of {', '.join(KEYS)}, such as openai/gpt-5; "
            "a server of your own is openai/NAME with a base URL"
        )
    return provider, model


def is_model(name: str) -> bool:
    """Return whether a name is that of a model."""
    return name.partition("/")[0] in KEYS and "/" in name


def key_of(provider: str, base_url: str, key_name: str) -> tuple[str, str]:
    """Return the variable of the environment that holds the key, and the key; empty where none is needed.

    A cloud has credentials of its own. A server of the user's own is sent a placeholder.

    Raises:
        UsageError: there is none; the message names the variable.
    """
    names = (key_name,) if key_name else KEYS[provider]
    for name in names:
        if value := os.environ.get(name):
            return name, remembered(value)
    if not names:
        return "", ""
    own = {"openai": "OPENAI_BASE_URL", "anthropic": "ANTHROPIC_BASE_URL"}.get(provider, "")
    if not key_name and (base_url or os.environ.get(own)):
        return "", NO_KEY
    raise UsageError(f"{names[0]} is not set: {provider} takes its key from the environment, and needs one")


def wire_of(name: str, base_url: str, key_name: str, stall_seconds: float, connections: Connections) -> Wire:
    """Return the API of a model over an open client.

    Raises:
        UsageError: the name, its key or an SDK's extra is missing.
    """
    provider, model = split(name)
    options: Options = {"max_retries": 0, "stall_seconds": stall_seconds}
    variable, key = key_of(provider, base_url, key_name)
    if key:
        options[TOKENS.get(variable, "api_key")] = key
    if base_url:
        options["base_url"] = base_url
    place = (provider, base_url, key_name, stall_seconds)
    client = connections.client(place, lambda: _made(provider, options, name))
    return _wire(provider, model, client)


def _made(provider: str, options: Options, name: str) -> Any:
    """Return a client whose own retries are off and whose silences are bounded."""
    try:
        sdk, maker = CLIENTS[provider]()
        stall = options.pop("stall_seconds")
        timeout = sdk.Timeout(stall, connect=CONNECT_SECONDS, pool=None)
        return maker(timeout=timeout, http_client=sdk.DefaultAioHttpClient(verify=_tls()), **options)
    except ImportError as error:
        raise UsageError(f"{name} needs the SDK's extra for its cloud: {error}") from None
    except (TypeError, ValueError, OSError) as error:
        raise UsageError(f"{name}: {scrubbed(str(error))}") from None


@cache
def _tls() -> ssl.SSLContext:
    """The certificates that are trusted, read once: it takes longer than all the rest of making a client."""
    import httpx2

    return httpx2.create_ssl_context()


def _wire(provider: str, model: str, client: Any) -> Wire:
    from tts.models.anthropic_messages import AnthropicMessages
    from tts.models.openai_chat import OpenAIChat
    from tts.models.openai_responses import OpenAIResponses

    if provider not in ("openai", "azure"):
        return AnthropicMessages(client, provider, model)
    if _through_responses(model):
        return OpenAIResponses(client, provider, model.removeprefix("responses/"))
    return OpenAIChat(client, provider, model)


def shares_of(name: str) -> Literal["n", "prefix"]:
    """Return how a model's answers to one prompt share its cost: only Chat Completions have `n`."""
    provider, model = split(name)
    return "n" if provider in ("openai", "azure") and not _through_responses(model) else "prefix"


def _through_responses(model: str) -> bool:
    return model.startswith("responses/") or model in PRO


def _openai() -> tuple[Any, Any]:
    import openai

    return openai, openai.AsyncOpenAI


def _azure() -> tuple[Any, Any]:
    import openai

    version = os.environ.get("OPENAI_API_VERSION", "2025-04-01-preview")

    def maker(*, base_url: str = "", **options: Any) -> Any:
        if base_url:
            options["azure_endpoint"] = base_url
        return openai.AsyncAzureOpenAI(api_version=version, **options)

    return openai, maker


def _anthropic() -> tuple[Any, Any]:
    import anthropic

    return anthropic, partial(anthropic.AsyncAnthropic, open_telemetry=False)


def _bedrock() -> tuple[Any, Any]:
    import anthropic
    from anthropic.lib.bedrock import AsyncAnthropicBedrock

    return anthropic, AsyncAnthropicBedrock


def _vertex() -> tuple[Any, Any]:
    import anthropic
    from anthropic.lib.vertex import AsyncAnthropicVertex

    return anthropic, AsyncAnthropicVertex


CLIENTS: Mapping[str, Callable[[], tuple[Any, Any]]] = {
    "openai": _openai,
    "azure": _azure,
    "anthropic": _anthropic,
    "bedrock": _bedrock,
    "vertex_ai": _vertex,
}
"""For each provider, its SDK (loaded when it is first used) and what makes a client."""
