"""optillm: its best of n and its self-consistency, called as its server calls them, on the raw SDK.

Best of n asks for n completions in one request and then for one rating of each, one after another.
Self-consistency asks for its samples one after another. Neither bounds requests over tasks: a pool of threads
runs as many tasks at once as there are workers.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

from common import SYSTEM, Job, drive
from openai import OpenAI
from optillm.bon import best_of_n_sampling
from optillm.self_consistency import AdvancedSelfConsistency

logging.disable(logging.CRITICAL)


def best_of_n(client: OpenAI, job: Job, prompt: str) -> int:
    """Return the samples that the answer was chosen from; all are lost where a rating fails."""
    answer, _ = best_of_n_sampling(SYSTEM, prompt, client, "m", n=job.samples)
    return job.samples if "42" in answer else 0


def self_consistency(client: OpenAI, job: Job, prompt: str) -> int:
    """Return how many samples came."""
    found = AdvancedSelfConsistency(client, "m", num_samples=job.samples).evaluate(SYSTEM, prompt)
    return sum("42" in text for text in found["individual_responses"])


def work(job: Job) -> int:
    """Return how many answers came; those of a task that raised are lost."""
    way = {"bon": best_of_n, "self_consistency": self_consistency}[job.way]
    with OpenAI(base_url=job.url, api_key="none") as client, ThreadPoolExecutor(job.workers) as pool:

        def one(task: int) -> int:
            try:
                return way(client, job, job.prompt(task))
            except Exception:  # noqa: BLE001 - whatever ended the task
                return 0

        return sum(pool.map(one, range(job.tasks)))


drive(work)
