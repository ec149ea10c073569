"""The floor: a bare asyncio loop around the raw SDK. Nothing is kept, nothing can be resumed.

`stream` reads the same answers as they come, token by token, as an agent does that can be stopped half-way.
"""

from __future__ import annotations

import asyncio

from common import SYSTEM, Job, drive_async
from openai import APIError, AsyncOpenAI


async def whole(client: AsyncOpenAI, messages: list[dict[str, str]]) -> str:
    """Return an answer that comes at once."""
    reply = await client.chat.completions.create(model="m", messages=messages)  # type: ignore[call-overload]
    return reply.choices[0].message.content or ""


async def streamed(client: AsyncOpenAI, messages: list[dict[str, str]]) -> str:
    """Return an answer that comes in pieces."""
    asked = {"model": "m", "messages": messages, "stream_options": {"include_usage": True}}
    pieces = await client.chat.completions.create(**asked, stream=True)  # type: ignore[call-overload]
    return "".join([piece.choices[0].delta.content or "" async for piece in pieces if piece.choices])


async def work(job: Job) -> int:
    """Return how many answers came."""
    gate, ask = asyncio.Semaphore(job.workers), streamed if job.way == "stream" else whole
    async with AsyncOpenAI(base_url=job.url, api_key="none") as client:

        async def sample(task: int) -> bool:
            messages = [
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": job.prompt(task)},
            ]
            async with gate:
                try:
                    return "42" in await ask(client, messages)
                except APIError:
                    return False

        asked = (sample(task) for task in range(job.tasks) for _ in range(job.samples))
        return sum(await asyncio.gather(*asked))


drive_async(work)
