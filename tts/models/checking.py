"""Asks, before a run, what is there: keys, servers, models and prices."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import anyio

from tts.errors import TtsError, UsageError
from tts.models.chat import Ask
from tts.models.connections import connected
from tts.models.model import Model
from tts.models.prices import MILLION, dollars
from tts.models.providers import KEYS, key_of, split
from tts.types import Usage

TRIED = Ask("", ("Answer with the word: ok",))
TRIED_TOKENS = 16
"""The most tokens of the answer that is asked for; Responses takes no less."""
TRIED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class KeySet:
    """Whether one of the variables that may hold a provider's key is set; `variable` is the one, "": none.

    Without `variables` the provider's cloud has credentials of its own.
    """

    provider: str
    variables: tuple[str, ...]
    variable: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """How a model answered when it was asked a short question; `error` is "" where it did."""

    seconds: float
    usage: Usage = Usage()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """What is known of a model that plays `role`.

    `serves` is whether the server can be reached, takes the key and, as far as it tells, has the model;
    `error` says why not, and `verified` that it did tell. `input_usd` and `output_usd` are dollars per
    million tokens, None: unknown.
    `answered` is None where it was not asked.
    """

    name: str
    role: str
    base_url: str
    key: KeySet
    has_key: bool
    serves: bool
    error: str = ""
    verified: bool = False
    input_usd: float | None = None
    output_usd: float | None = None
    answered: Answered | None = None

    @property
    def fine(self) -> bool:
        """Whether it can be used; an unknown price is no hindrance."""
        return self.serves and (self.answered is None or not self.answered.error)


def keys() -> list[KeySet]:
    """Return which providers' keys the environment has; never a value."""
    return [key_set(provider) for provider in KEYS]


def key_set(provider: str, key_name: str = "") -> KeySet:
    """Return whether a provider's key is set."""
    names = (key_name,) if key_name else KEYS[provider]
    return KeySet(provider, names, next((name for name in names if os.environ.get(name)), ""))


async def check(models: Sequence[tuple[str, Model]], *, ask: bool = False) -> list[Checked]:
    """Return what is known of models and their roles, all tried at once.

    It costs nothing unless `ask` sends each a short question.
    """
    found: list[Checked | None] = [None] * len(models)

    async def one(i: int) -> None:
        found[i] = await _checked(*models[i], ask=ask)

    async with connected(), anyio.create_task_group() as group:
        for i in range(len(models)):
            group.start_soon(one, i)
    return [checked for checked in found if checked is not None]


async def _checked(role: str, model: Model, *, ask: bool) -> Checked:
    error, verified = await _trouble(model)
    reads, writes = _prices(model)
    return Checked(
        name=model.name,
        role=role,
        base_url=model.base_url,
        key=key_set(split(model.name)[0], model.key_name),
        has_key=_has_key(model),
        serves=not error,
        error=error,
        verified=verified,
        input_usd=reads,
        output_usd=writes,
        answered=await _answered(model) if ask and not error else None,
    )


async def _trouble(model: Model) -> tuple[str, bool]:
    """Return why the model cannot be used, "" where nothing is known against it, and whether that is sure."""
    try:
        with anyio.fail_after(TRIED_SECONDS):
            return "", await model.ready()
    except TimeoutError:
        return f"no word from the server within {TRIED_SECONDS:g} seconds", False
    except TtsError as error:
        return str(error), False


def _has_key(model: Model) -> bool:
    try:
        key_of(split(model.name)[0], model.base_url, model.key_name)
    except UsageError:
        return False
    return True


def _prices(model: Model) -> tuple[float, float] | tuple[None, None]:
    """Return dollars per million tokens of input and output, by what a thousand cost (some have steps)."""
    found = dollars(Usage(calls=1, input_tokens=1000, output_tokens=1000), model.name, model.price)
    return (None, None) if found is None else (found[0] * MILLION / 1000, found[1] * MILLION / 1000)


async def _answered(model: Model) -> Answered:
    short = replace(
        model,
        settings=replace(model.settings, max_output_tokens=TRIED_TOKENS),
        patience=replace(model.patience, total_seconds=TRIED_SECONDS),
    )
    started = time.monotonic()
    try:
        (reply,) = await short.ask(TRIED)
    except TtsError as error:
        return Answered(time.monotonic() - started, error=str(error))
    return Answered(time.monotonic() - started, reply.usage)
