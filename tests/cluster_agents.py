"""Agents that run on the nodes of a cluster in tests; a module of its own, so that workers can import it."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import anyio
import ray

from tts.errors import LimitReached, Unusable
from tts.protocols import Attempt
from tts.types import Rollout, Step, Task, Usage


def node() -> str:
    """Return the id of the node that this runs on; "" outside a cluster."""
    if not ray.is_initialized():
        return ""
    return str(ray.get_runtime_context().get_node_id())


async def told(task: Task, attempt: Attempt) -> Rollout:
    """Say where it ran, and what it was given."""
    attempt.record(Step(observation=node(), usage=Usage(calls=1, input_tokens=10, output_tokens=5)))
    answer = attempt.priors[0].final_state if attempt.priors else str(attempt.seed % 3)
    return Rollout(answer=answer, signals={"priors": float(len(attempt.priors))})


async def busy(task: Task, attempt: Attempt) -> Rollout:
    """Compute for the seconds that the task names; the answer depends on the seed alone."""
    until = time.process_time() + float(task.metadata["seconds"])
    attempt.record(Step(observation=node(), usage=Usage(calls=1, input_tokens=10)))
    while time.process_time() < until:
        sum(i * i for i in range(2000))
    return Rollout(answer=str(attempt.seed % 3))


async def endless(task: Task, attempt: Attempt) -> Rollout:
    """Go on until cancelled, and leave a file that says so."""
    attempt.record(Step(observation="begun", usage=Usage(calls=1, input_tokens=7)))
    attempt.progress(3.0)
    try:
        await anyio.sleep_forever()
    except BaseException:
        touch(task.metadata["left"])
        raise


async def deaf(task: Task, attempt: Attempt) -> Rollout:
    """Tell how far it is, then answer without once looking whether that is still wanted."""
    attempt.record(Step(observation="begun", usage=Usage(calls=1, input_tokens=7)))
    attempt.progress(3.0, thought=True)
    while not Path(task.metadata["go"]).exists():  # noqa: ASYNC240
        time.sleep(0.01)  # noqa: ASYNC251
    return Rollout(answer="42")


async def dying(task: Task, attempt: Attempt) -> Rollout:
    """Take the worker down as often as the task says, then answer."""
    attempt.record(Step(observation="begun", usage=Usage(calls=1, input_tokens=7)))
    if dies(Path(task.metadata["marks"]), attempt.index, int(task.metadata["times"])):
        await anyio.sleep(0.2)  # the letter with the step is on its way
        os._exit(1)
    return Rollout(answer="42")


def dies(marks: Path, index: int, times: int) -> bool:
    """Whether an attempt is to die once more; leaves a mark if so."""
    n = len(list(marks.glob(f"{index}-*")))
    if n < times:
        touch(marks / f"{index}-{n}")
    return n < times


def touch(path: Path | str) -> None:
    """Make a file."""
    Path(path).touch()


async def wordy(task: Task, attempt: Attempt) -> Rollout:
    """Record many steps, one right after another, and news between them."""
    for i in range(300):
        attempt.record(Step(observation=str(i), usage=Usage(calls=1, output_tokens=1)))
        attempt.progress(float(i))
    return Rollout(answer="42")


def stubborn(task: Task, attempt: Attempt) -> str:
    """Go on in a thread for as long as the attempt lets it, and leave a file when it does not."""
    try:
        while True:
            attempt.progress(1.0)
            time.sleep(0.01)
    except LimitReached:
        touch(task.metadata["left"])
        raise


async def unusable(task: Task, attempt: Attempt) -> Rollout:
    """Say that nothing can run here."""
    raise Unusable("the sandbox is missing")


async def handed(task: Task, attempt: Attempt) -> Rollout:
    """Change a file of the workspace."""
    assert attempt.workspace is not None
    (attempt.workspace / "a.txt").write_text(f"{attempt.seed}\n")
    return Rollout()


class Locked:
    """An agent that holds what cannot leave its process."""

    fingerprint = "locked"

    def __init__(self) -> None:
        self.lock = threading.Lock()

    async def run(self, task: Task, attempt: Attempt) -> Rollout:
        """Answer nothing."""
        return Rollout()
