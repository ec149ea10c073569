"""inspect-ai: `eval` with epochs, on its OpenAI-compatible provider.

It keeps a log on disk as it goes, some samples at a time. `eval_retry` makes the samples anew that had failed
in one, for which the task has to be registered by `@task`; this one is not. A request that may be tried again
is tried until it succeeds, with longer and longer waits.
"""

from __future__ import annotations

from common import SYSTEM, Job, drive
from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import get_model
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, system_message


def work(job: Job) -> int:
    """Return how many samples were scored as right."""
    samples = [Sample(input=job.prompt(i), target="42", id=i) for i in range(job.tasks)]
    task = Task(
        dataset=MemoryDataset(samples),
        solver=[system_message(SYSTEM), generate()],
        scorer=includes(),
        epochs=job.samples,
        fail_on_error=False,
    )
    (log,) = eval(
        task,
        model=get_model("openai-api/bench/m", base_url=job.url, api_key="none"),
        max_connections=job.workers,
        max_samples=job.workers,
        log_dir=job.folder,
        display="none",
    )
    return sum(bool(one.scores) and "42" in one.output.completion for one in log.samples or ())


drive(work)
