"""Makes the models of a command line: each with its server, its price and its settings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tts.errors import Unusable, UsageError
from tts.models.connections import connected
from tts.models.model import Model
from tts.models.names import model
from tts.models.prices import Price, price_of
from tts.models.providers import is_model, split
from tts.models.throttle import Limits
from tts.types import Budget

MAX_OUTPUT_TOKENS = 16_384
"""The cap on one answer unless told otherwise."""

ROLES = ("model", "judge", "summarizer", "tester")
"""In the order in which a plain `--base-url` looks for its provider."""

RESERVED = {
    *("model", "messages", "input", "instructions", "system", "stream", "stream_options", "n"),
    *("max_tokens", "max_completion_tokens", "max_output_tokens", "response_format"),
}
"""What a request has from elsewhere; an option of that name would break it."""

Names = Mapping[str, Sequence[str]]
"""The names of models by role."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Voices:
    """What the command line says of its models.

    `urls` are base URLs by role, that under "" for all models of the provider that is named first; `caps`
    the most tokens of an answer, that under "" for all other roles. `prices` are by model. `temperature` and
    `options` are for the role `model` alone, the rest is for all.
    """

    names: Names
    urls: Mapping[str, str]
    prices: Mapping[str, Price]
    options: Mapping[str, Any]
    caps: Mapping[str, int]
    temperature: float | None = None
    schemas: bool = True
    limits: Limits = Limits()

    def model(self, role: str, name: str) -> Model:
        """Return the model of a name in a role.

        Raises:
            UsageError: nobody knows the provider, or a setting is out of range.
        """
        own = role == "model"
        return model(
            name,
            base_url=self.urls.get(role, self._shared_url(name)),
            max_output_tokens=self.caps.get(role, self.caps.get("", MAX_OUTPUT_TOKENS)),
            temperature=self.temperature if own else None,
            price=self.prices.get(name),
            limits=self.limits,
            schemas=self.schemas,
            options=self.options if own else None,
        )

    @property
    def models(self) -> list[tuple[str, Model]]:
        """Every model with its role."""
        return [(role, self.model(role, name)) for role in ROLES for name in self.names.get(role, ())]

    @property
    def unpriced(self) -> list[tuple[str, str]]:
        """The roles and names of the models whose price is unknown."""
        return [(role, found.name) for role, found in self.models if found.bound(1).usd is None]

    async def check_ready(self) -> None:
        """Check, at no cost, that the models can be had.

        Raises:
            UsageError: a key is not set or wrong, a server cannot be reached, or has no such model.
        """
        async with connected():
            for found in {(model.name, model.base_url): model for _, model in self.models}.values():
                try:
                    await found.ready()
                except Unusable as error:
                    raise UsageError(str(error)) from None

    def check_prices(self, limits: Sequence[Budget], bound: Budget) -> None:
        """Check that what is limited in dollars has a price, or, for the agent, a `bound`.

        Raises:
            UsageError: a price is unknown; the message says which flag gives it.
        """
        lacking = [name for role, name in self.unpriced if role != "model" or bound.usd is None]
        if lacking and any(limit.usd is not None for limit in limits):
            raise UsageError(
                f"a limit on dollars needs the price of {lacking[0]}, which is unknown: "
                f"give --price {lacking[0]}=IN,OUT in dollars per million tokens"
            )

    def _shared_url(self, name: str) -> str:
        return self.urls.get("", "") if split(name)[0] == _first_provider(self.names) else ""


def names_of(
    *,
    agent: str = "",
    model: str | Sequence[str] = (),
    judge: str = "",
    summarizer: str = "",
    tester: str = "",
) -> dict[str, list[str]]:
    """Return the names of models by role; those who play a role may be something else."""
    named = [model] if isinstance(model, str) and model else [*model]
    others = {"model": agent, "judge": judge, "summarizer": summarizer, "tester": tester}
    found = {role: [name] if is_model(name) else [] for role, name in others.items()}
    return found | {"model": [*named, *found["model"]]}


def voices_of(
    names: Names,
    *,
    base_url: Sequence[str] = (),
    price: Sequence[str] = (),
    option: Sequence[str] = (),
    temperature: float | None = None,
    max_output_tokens: Sequence[str] = (),
    schemas: bool = True,
    limits: Limits = Limits(),
) -> Voices:
    """Return what the options say, read.

    Raises:
        UsageError: one cannot be read; the message says what would be right.
    """
    return Voices(
        names=names,
        urls=urls_of(base_url, names),
        prices=prices_of(price, names),
        options=options_of(option),
        temperature=temperature,
        caps=caps_of(max_output_tokens),
        schemas=schemas,
        limits=limits,
    )


def caps_of(given: Sequence[str]) -> dict[str, int]:
    """Return the most tokens of an answer by role, of `N` (under "") and `ROLE=N`.

    Raises:
        UsageError: one is no whole number of 1 or more, comes twice, or is for no role.
    """
    found: dict[str, int] = {}
    for text in given:
        role, _, number = text.rpartition("=")
        if not number.isdecimal() or int(number) < 1 or role not in ("", *ROLES) or role in found:
            raise UsageError(f"--max-output-tokens {text}: write N, or ROLE=N with one of {', '.join(ROLES)}")
        found[role] = int(number)
    return found


def urls_of(given: Sequence[str], names: Names) -> dict[str, str]:
    """Return base URLs by role, of `URL` (under "") and `ROLE=URL`.

    Raises:
        UsageError: one is no address of a web server, comes twice, or is for a role that no model plays.
    """
    found: dict[str, str] = {}
    for text in given:
        named = re.fullmatch(rf"({'|'.join(ROLES)})=(.*)", text, re.DOTALL)
        role, url = (named[1], named[2]) if named else ("", text)
        if set("@?#") & set(url):
            raise UsageError("--base-url: an address holds no password or query; keys are in the environment")
        if role in found:
            raise UsageError(f"--base-url is given twice{f' for the {role}' if role else ''}: give it once")
        if not any(names.get(role, ()) if role else map(len, names.values())):
            whom = f"the {role} is no model" if role else "no role is played by a model"
            raise UsageError(f"--base-url {text}: {whom}; a model is PROVIDER/NAME, such as openai/NAME")
        found[role] = _checked_url(url)
    return found


def prices_of(given: Sequence[str], names: Names) -> dict[str, Price]:
    """Return prices by model, of `IN,OUT…` (for the role `model`) and `NAME=IN,OUT…`.

    Raises:
        UsageError: one cannot be read, or no such model plays a role.
    """
    known = [name for role in ROLES for name in names.get(role, ())]
    found: dict[str, Price] = {}
    for text in given:
        name, _, numbers = text.rpartition("=")
        name = name or next(iter(names.get("model", ())), "")
        if name not in known:
            whom = f"no role is played by {name!r}" if name else "there is no --model"
            told = f"; the models are {', '.join(known)}" if known else ""
            raise UsageError(f"--price {text}: {whom}{told}; write NAME=INPUT,OUTPUT")
        found[name] = price_of(numbers)
    return found


def options_of(given: Sequence[str]) -> dict[str, Any]:
    """Return request options of `KEY=JSON`; a value that is no JSON is text.

    Raises:
        UsageError: there is no key, or it is one that the request has from elsewhere.
    """
    found: dict[str, Any] = {}
    for text in given:
        key, sign, value = text.partition("=")
        if not key.strip() or not sign:
            raise UsageError(f"--option {text}: write KEY=VALUE, such as reasoning_effort=high or top_p=0.9")
        if key in RESERVED:
            raise UsageError(f"--option {text}: {key} is set by tts itself; an option is something else")
        found[key] = _json(value)
    return found


def _json(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return text


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or not url.isprintable() or " " in url:
        raise UsageError(
            f"--base-url {url}: write an http or https address, such as http://localhost:8000/v1"
        )
    return url


def _first_provider(names: Names) -> str:
    return next((split(name)[0] for role in ROLES for name in names.get(role, ())), "")
