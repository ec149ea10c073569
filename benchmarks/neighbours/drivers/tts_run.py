"""tts: an experiment with `vote@k`; every answer is on disk before anybody is told of it.

`chat` is its own agent, which streams. `sdk` and `aiohttp` wrap a function that asks once, by the raw SDK as
the floor does, or by aiohttp as its_hub does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp
from common import SYSTEM, Job, drive_async
from openai import AsyncOpenAI

from tts.agents.answers import answer_form
from tts.agents.chat import ChatAgent
from tts.agents.function import agent
from tts.experiment import Experiment
from tts.models.names import model
from tts.protocols import Agent, Attempt
from tts.types import Rollout, Task


@asynccontextmanager
async def chat(job: Job) -> AsyncGenerator[Agent]:
    """Yield the agent for chat models."""
    yield ChatAgent(model=model("openai/m", base_url=job.url), answer=answer_form("boxed"))


@asynccontextmanager
async def sdk(job: Job) -> AsyncGenerator[Agent]:
    """Yield a function around the raw SDK."""
    async with AsyncOpenAI(base_url=job.url, api_key="none") as client:
        ask = client.chat.completions.create

        async def solve(task: Task, attempt: Attempt) -> Rollout:
            reply = await ask(model="m", messages=messages(task))  # type: ignore[call-overload]
            return Rollout(answer=reply.choices[0].message.content)

        yield agent(solve, version="1")


@asynccontextmanager
async def by_aiohttp(job: Job) -> AsyncGenerator[Agent]:
    """Yield a function around aiohttp."""
    async with aiohttp.ClientSession(raise_for_status=True) as client:

        async def solve(task: Task, attempt: Attempt) -> Rollout:
            asked = {"model": "m", "messages": messages(task)}
            async with client.post(f"{job.url}/chat/completions", json=asked) as response:
                reply = await response.json()
            return Rollout(answer=reply["choices"][0]["message"]["content"])

        yield agent(solve, version="1")


def messages(task: Task) -> list[dict[str, str]]:
    """Return what is asked."""
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": task.prompt}]


async def work(job: Job) -> int:
    """Return how many answers the run holds."""
    async with {"chat": chat, "sdk": sdk, "aiohttp": by_aiohttp}[job.way](job) as made:
        experiment = Experiment(
            tasks=[Task(f"t{i}", job.prompt(i)) for i in range(job.tasks)],
            strategies=[f"vote@{job.samples}"],
            agent=made,
            workers=job.workers,
            window=max(8, 2 * job.workers // job.samples),
        )
        with await experiment.run(job.folder) as run:
            return sum("42" in (rollout.output or "") for rollout in run.rollouts().values())


drive_async(work)
