"""Several independent answers to one prompt for little more than the price of one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import anyio

from tts.errors import Declined, Infra, TtsError, Unusable
from tts.models.chat import Again, Ask, Began, Chat, Delta, Reply


async def several(model: Chat, ask: Ask, n: int) -> list[Reply | Infra]:
    """Return `n` answers to the ask; an error stands in the place of each that could not be had.

    Where the API takes `n`, one request brings them all; a server that gives fewer is asked for the rest, and
    one that declines is asked one by one.
    Elsewhere the first answer warms the provider's prompt cache: the others leave together once it begins.

    Raises:
        Infra: not even the first could be had.
        Declined, Unusable: nor could any other.
    """
    if model.shares == "n" and n > 1:
        with suppress(Declined):  # some models take no n
            had: list[Reply | Infra] = list(await model.ask(replace(ask, n=n)))
            return [*had, *await _each(model, [ask] * (n - len(had)))][:n]
    return await _warmed(model, ask, n)


async def _warmed(model: Chat, ask: Ask, n: int) -> list[Reply | Infra]:
    began = anyio.Event()
    first: list[Reply | TtsError] = []
    rest: list[Reply | Infra] = []

    def heard(event: Began | Delta | Again) -> None:
        if not isinstance(event, Again):
            began.set()

    async def lead() -> None:
        try:
            first.extend(await model.ask(replace(ask, n=1), heard=heard))
        except (Infra, Declined) as error:
            first.append(error)
        began.set()

    async with anyio.create_task_group() as group:
        group.start_soon(lead)
        await began.wait()
        if not first or isinstance(first[0], Reply):
            rest += await _each(model, [ask] * (n - 1))
    return _told(first, rest)


def _told(first: Sequence[Reply | TtsError], rest: Sequence[Reply | Infra]) -> list[Reply | Infra]:
    (led,) = first
    if isinstance(led, Reply):
        return [led, *rest]
    if isinstance(led, Infra) and not isinstance(led, Unusable) and any(isinstance(r, Reply) for r in rest):
        return [led, *rest]
    raise led


async def _each(model: Chat, asks: Sequence[Ask]) -> list[Reply | Infra]:
    """Ask at the same time. What ends all the same way is raised, once all have ended."""
    answers: list[Reply | TtsError | None] = [None] * len(asks)

    async def one(i: int) -> None:
        try:
            (answers[i],) = await model.ask(replace(asks[i], n=1))
        except (Infra, Declined) as error:
            answers[i] = error

    async with anyio.create_task_group() as group:
        for i in range(len(asks)):
            group.start_soon(one, i)
    for answer in answers:
        if isinstance(answer, (Unusable, Declined)):
            raise answer
    return [answer for answer in answers if isinstance(answer, (Reply, Infra))]
