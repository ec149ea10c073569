"""treequest: `step` one node at a time, and `ask_batch` of all nodes at once, around the raw SDK.

It searches a tree and brings no client and no bound on requests; a pool of threads runs the tasks, or the
nodes of a batch. AB-MCTS-A is the algorithm; what raises in `step` adds no node, and the next step goes on.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import treequest
from common import SYSTEM, Job, drive
from openai import OpenAI, OpenAIError


def ask(client: OpenAI, prompt: str) -> tuple[str, float]:
    """Return an answer and its score."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt}]
    reply = client.chat.completions.create(model="m", messages=messages)  # type: ignore[arg-type]
    return reply.choices[0].message.content or "", 0.5


def step(client: OpenAI, job: Job, prompt: str, pool: ThreadPoolExecutor) -> int:
    """Return how many nodes a search of single steps came to."""
    algorithm = treequest.ABMCTSA()
    state = algorithm.init_tree()
    for _ in range(job.samples):
        with suppress(OpenAIError):
            state = algorithm.step(state, {"answer": lambda _: ask(client, prompt)}, inplace=True)
    return sum("42" in text for text, _ in algorithm.get_state_score_pairs(state))


def ask_batch(client: OpenAI, job: Job, prompt: str, pool: ThreadPoolExecutor) -> int:
    """Return how many nodes one batch came to; what failed is not told back."""
    algorithm = treequest.ABMCTSA()
    state, trials = algorithm.ask_batch(algorithm.init_tree(), job.samples, ["answer"])
    futures = [pool.submit(ask, client, prompt) for _ in trials]
    for trial, future in zip(trials, futures, strict=True):
        with suppress(OpenAIError):
            state = algorithm.tell(state, trial.trial_id, future.result())
    return sum("42" in text for text, _ in algorithm.get_state_score_pairs(state))


def work(job: Job) -> int:
    """Return how many answers came."""
    way = {"step": step, "ask_batch": ask_batch}[job.way]
    # treequest bounds nothing: the pool does, over all tasks
    with (
        OpenAI(base_url=job.url, api_key="none") as client,
        ThreadPoolExecutor(job.workers) as requests,
        ThreadPoolExecutor(job.workers) as tasks,
    ):
        return sum(tasks.map(lambda i: way(client, job, job.prompt(i), requests), range(job.tasks)))


drive(work)
