"""Several independent answers to one prompt for little more than the price of one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import anyio

from tts.errors import Declined, Infra
from tts.models.chat import Again, Ask, Began, Chat, Delta, Heard, Reply, unheard

Answered = Reply | Infra | Declined
"""A reply, or the error that stands in its place."""


async def several(model: Chat, ask: Ask, n: int) -> list[Answered]:
    """Return `n` answers to the ask; an error stands in the place of each that could not be had.

    Where the API takes `n`, one request brings them all; a server that gives fewer is asked for the rest, and
    one that declines is asked one by one.  Elsewhere the first answer warms the provider's prompt cache: the
    others leave together once it begins.

    Raises:
        Infra, Declined: not one could be had; the error is the first one's.
    """
    if model.shares == "n" and n > 1:
        with suppress(Declined):  # some models take no n
            had: list[Answered] = list(await model.ask(replace(ask, n=n)))
            return [*had, *await _each(model, [ask] * (n - len(had)))][:n]
    answers = await _warmed(model, ask, n)
    if not any(isinstance(answer, Reply) for answer in answers):
        raise next(answer for answer in answers if not isinstance(answer, Reply))
    return answers


async def _warmed(model: Chat, ask: Ask, n: int) -> list[Answered]:
    began = anyio.Event()
    first: list[Answered] = []
    rest: list[Answered] = []

    def heard(event: Began | Delta | Again) -> None:
        if not isinstance(event, Again):
            began.set()

    async def lead() -> None:
        first.append(await _one(model, ask, heard))
        began.set()

    async def follow() -> None:
        await began.wait()
        if not first or isinstance(first[0], Reply):
            rest.extend(await _each(model, [ask] * (n - 1)))

    async with anyio.create_task_group() as group:
        group.start_soon(lead)
        group.start_soon(follow)
    return [*first, *rest]


async def _each(model: Chat, asks: Sequence[Ask]) -> list[Answered]:
    """Ask at the same time."""
    answers: dict[int, Answered] = {}

    async def one(i: int) -> None:
        answers[i] = await _one(model, asks[i])

    async with anyio.create_task_group() as group:
        for i in range(len(asks)):
            group.start_soon(one, i)
    return [answers[i] for i in range(len(asks))]


async def _one(model: Chat, ask: Ask, heard: Heard = unheard) -> Answered:
    try:
        (reply,) = await model.ask(replace(ask, n=1), heard=heard)
    except (Infra, Declined) as error:
        return error
    return reply
