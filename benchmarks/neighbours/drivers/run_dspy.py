"""dspy: `BestOfN`, `majority` of n completions, and `Parallel` over all samples; its cache is off.

`Parallel` bounds the requests by its threads. `BestOfN` draws one sample after another, and n completions of
a task are one request, so tasks run side by side in a `Parallel` too.
"""

from __future__ import annotations

import logging

import dspy
from common import Job, drive

logging.disable(logging.CRITICAL)
FIELDS = "question -> answer"
NEVER = 2.0


def best_of_n(job: Job) -> int:
    """Return how many samples were drawn and scored: the reward never reaches the threshold."""
    drawn: list[int] = []

    def reward(_: object, prediction: dspy.Prediction) -> float:
        drawn.append("42" in prediction.answer)
        return 0.0

    module = dspy.BestOfN(dspy.Predict(FIELDS), N=job.samples, reward_fn=reward, threshold=NEVER)
    side_by_side(
        job,
        [(module, dspy.Example(question=job.prompt(i)).with_inputs("question")) for i in range(job.tasks)],
    )
    return sum(drawn)


class Majority(dspy.Module):
    """The majority of n completions of one request."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.predict = dspy.Predict(FIELDS, n=n, temperature=1.0)

    def forward(self, question: str) -> dspy.Prediction:
        """Return the winner, and how many completions there were."""
        found = self.predict(question=question)
        winner = dspy.majority(found.completions)
        return dspy.Prediction(
            answer=winner.answer, n=sum("42" in answer for answer in found.completions.answer)
        )


def majority(job: Job) -> int:
    """Return how many completions came."""
    module = Majority(job.samples)
    pairs = [(module, dspy.Example(question=job.prompt(i)).with_inputs("question")) for i in range(job.tasks)]
    return sum(found.n for found in side_by_side(job, pairs) if found is not None)


def parallel(job: Job) -> int:
    """Return how many of the single predictions came."""
    module = dspy.Predict(FIELDS)
    asked = [job.prompt(i) for i in range(job.tasks) for _ in range(job.samples)]
    pairs = [(module, dspy.Example(question=question).with_inputs("question")) for question in asked]
    return sum("42" in found.answer for found in side_by_side(job, pairs) if found is not None)


def side_by_side(job: Job, pairs: list) -> list:  # type: ignore[type-arg]
    """Run modules on their examples with as many threads as there are workers; a failed one is None."""
    most = len(pairs) + 1
    run = dspy.Parallel(num_threads=job.workers, max_errors=most, disable_progress_bar=True)
    return run(pairs)


def work(job: Job) -> int:
    """Return how many answers came."""
    dspy.configure(lm=dspy.LM("openai/m", api_base=job.url, api_key="none", cache=False, temperature=1.0))
    return {"best_of_n": best_of_n, "majority": majority, "parallel": parallel}[job.way](job)


drive(work)
