"""its_hub: `SelfConsistency`, `BestOfN` and `BetaSelfConsistency` on its own client.

One orchestrator bounds the requests of all tasks. An error that its client does not try again ends the task,
and its other samples are lost. `BetaSelfConsistency` stops early: what it cancels does not come home.
"""

from __future__ import annotations

import asyncio

from common import SYSTEM, Job, drive_async
from its_hub.api import AbstractOutcomeRewardModel
from its_hub.core.algorithms.beta_self_consistency import BetaSelfConsistency
from its_hub.core.algorithms.bon import BestOfN
from its_hub.core.algorithms.self_consistency import SelfConsistency
from its_hub.core.lms.openai_lm import OpenAICompatibleLanguageModel
from its_hub.core.orchestrator import LMOrchestrator


class Longest(AbstractOutcomeRewardModel):
    """A reward that costs nothing."""

    async def ascore(self, conversations, orchestrator=None, **_):  # type: ignore[no-untyped-def]
        """Return the length of each last message."""
        return [float(len(str(conversation[-1].content))) for conversation in conversations]

    def score(self, conversations, **_):  # type: ignore[no-untyped-def]
        """Return the same, waiting for it."""
        return asyncio.run(self.ascore(conversations))


def algorithm(job: Job, orchestrator: LMOrchestrator):  # type: ignore[no-untyped-def]
    """Return the algorithm that the job names."""
    ways = {
        "self_consistency": lambda: SelfConsistency(orchestrator=orchestrator),
        "best_of_n": lambda: BestOfN(Longest(), orchestrator=orchestrator),
        "beta": lambda: BetaSelfConsistency(orchestrator=orchestrator),
    }
    return ways[job.way]()


async def work(job: Job) -> int:
    """Return how many answers came; those of a task that raised are lost."""
    way = algorithm(job, LMOrchestrator(max_concurrency=job.workers))
    async with OpenAICompatibleLanguageModel(job.url, "none", "m", system_prompt=SYSTEM) as model:

        async def one(task: int) -> int:
            try:
                found = await way.ainfer(model, job.prompt(task), job.samples, return_response_only=False)
            except Exception:  # noqa: BLE001 - whatever ended the task
                return 0
            return sum("42" in str(said.get("content")) for said in found.responses)

        return sum(await asyncio.gather(*map(one, range(job.tasks))))


drive_async(work)
