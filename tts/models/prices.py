"""What usage costs, by the package genai-prices or the user's own price; an unknown price stays unknown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from tts.errors import UsageError
from tts.types import Usage

PROVIDERS = {"azure": "azure", "bedrock": "aws", "vertex_ai": "google"}
"""Our provider names where genai-prices has others."""

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens. Cached input and cache writes cost as input where nothing is given."""

    input: float
    output: float
    cached_input: float | None = None
    cache_write: float | None = None

    def __post_init__(self) -> None:
        for value in (self.input, self.output, self.cached_input or 0.0, self.cache_write or 0.0):
            if not 0 <= value < float("inf"):
                raise UsageError(f"a price is zero or more dollars per million tokens, not {value}")

    def of(self, usage: Usage) -> tuple[float, float]:
        """Return the dollars of the input and of the output."""
        cached = self.input if self.cached_input is None else self.cached_input
        write = self.input if self.cache_write is None else self.cache_write
        plain = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
        read = plain * self.input + usage.cached_input_tokens * cached + usage.cache_write_tokens * write
        return read / MILLION, usage.output_tokens * self.output / MILLION


def price_of(text: str) -> Price:
    """Return the price of a text `INPUT,OUTPUT[,CACHED[,WRITE]]` in dollars per million tokens.

    >>> price_of("3,15,0.3")
    Price(input=3.0, output=15.0, cached_input=0.3, cache_write=None)

    Raises:
        UsageError: it has another form.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not 2 <= len(numbers) <= 4:
        raise UsageError(
            f"{text!r} is no price: write INPUT,OUTPUT[,CACHED[,WRITE]] in dollars per million tokens, "
            "such as 3,15,0.3,3.75"
        )
    return Price(*numbers)


def dollars(usage: Usage, name: str, price: Price | None = None) -> tuple[float, float] | None:
    """Return the dollars of the input and of the output of one request, None where the price is unknown.

    `name` is `provider/model`; `price` goes before the published one.
    """
    return price.of(usage) if price is not None else _published(usage, name)


def priced(usage: Usage, name: str, price: Price | None = None) -> Usage:
    """Return the usage of one request with its dollars, or counted as unpriced."""
    found = dollars(usage, name, price)
    if found is None:
        return replace(usage, unpriced_calls=max(1, usage.calls))
    return replace(usage, known_usd=sum(found))


def _published(usage: Usage, name: str) -> tuple[float, float] | None:
    import genai_prices

    counted = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
    )
    return _calculated(counted, name) if _is_listed(name) else None


@cache
def _is_listed(name: str) -> bool:
    """Whether a model has a price; kept, since the package looks through all models for one it lacks."""
    import genai_prices

    return _calculated(genai_prices.Usage(), name) is not None


def _calculated(usage: Any, name: str) -> tuple[float, float] | None:
    import genai_prices

    provider, _, model = name.partition("/")
    provider_id = PROVIDERS.get(provider, provider)
    try:
        found = genai_prices.calc_price(usage, model.removeprefix("responses/"), provider_id=provider_id)
    except (LookupError, ValueError):
        return None
    return float(found.input_price), float(found.output_price)
