"""The floor: a bare asyncio loop around the raw SDK. Nothing is kept, nothing can be resumed."""

from __future__ import annotations

import asyncio

from common import SYSTEM, Job, drive_async
from openai import APIError, AsyncOpenAI


async def work(job: Job) -> int:
    """Return how many answers came."""
    gate = asyncio.Semaphore(job.workers)
    async with AsyncOpenAI(base_url=job.url, api_key="none") as client:

        async def sample(task: int) -> bool:
            messages = [
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": job.prompt(task)},
            ]
            async with gate:
                try:
                    reply = await client.chat.completions.create(model="m", messages=messages)  # type: ignore
                except APIError:
                    return False
            return "42" in (reply.choices[0].message.content or "")

        asked = (sample(task) for task in range(job.tasks) for _ in range(job.samples))
        return sum(await asyncio.gather(*asked))


drive_async(work)
