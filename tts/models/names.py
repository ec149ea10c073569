"""Names become models: `openai/gpt-5`, `anthropic/claude-sonnet-4-5`, `openai/NAME` at a base URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tts.errors import UsageError
from tts.models.call import Patience
from tts.models.chat import Settings
from tts.models.model import Model
from tts.models.prices import Price, price_of
from tts.models.providers import split
from tts.models.throttle import Limits


def model(
    name: str,
    *,
    base_url: str = "",
    max_output_tokens: int = 16_384,
    temperature: float | None = None,
    price: Price | str | None = None,
    limits: Limits = Limits(),
    patience: Patience = Patience(),
    key_name: str = "",
    schemas: bool = True,
    options: Mapping[str, Any] | None = None,
) -> Model:
    """Return the model of a name as litellm has it: provider, slash, model.

    Providers: openai (also any server that speaks its API, at `base_url`; `openai/responses/NAME` goes
    through Responses), anthropic, azure, bedrock, vertex_ai. The key comes from the provider's environment
    variable, or from that called `key_name`. `max_output_tokens` caps an answer, thinking included. `price`
    is in dollars per million tokens, `"3,15"` for input and output. `options` go into each request as they
    are. `schemas=False` is for servers that know no response schemas.

    Raises:
        UsageError: the name has another form, or a number makes no sense.

    >>> model("openai/gpt-5", temperature=0.7).fingerprint.startswith("openai/gpt-5#")
    True
    """
    split(name)
    if max_output_tokens < 1:
        raise UsageError(f"max_output_tokens is 1 or more, not {max_output_tokens}")
    if temperature is not None and not 0 <= temperature <= 2:
        raise UsageError(f"a temperature is from 0 to 2, not {temperature}")
    return Model(
        name=name,
        settings=Settings(
            max_output_tokens=max_output_tokens,
            temperature=temperature,
            options=dict(options or {}),
            schemas=schemas,
        ),
        base_url=base_url,
        key_name=key_name,
        price=price_of(price) if isinstance(price, str) else price,
        limits=limits,
        patience=patience,
    )
