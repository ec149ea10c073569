"""CPU-bound attempts on a real Ray cluster of one and of two nodes of one CPU each, on this machine.

    python -m benchmarks.cluster [--quick] [--json]

24 attempts (quick: 8) that compute for a second each.  The nodes are Ray's own, each with its own processes.
The time begins when each node has ended its first attempt, so that the start of the workers is not in it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence

import anyio

from benchmarks.goals import Figure, report, started
from tts.agents.function import agent
from tts.events import Ended, Event
from tts.executors.cluster import RayCluster
from tts.experiment import Experiment
from tts.protocols import Attempt
from tts.types import Rollout, Step, Task

SECONDS = 1.0
PER_TASK = 4


async def busy(task: Task, attempt: Attempt) -> Rollout:
    """Compute for a second of processor time."""
    until = time.process_time() + SECONDS
    attempt.record(Step(observation="at work"))
    while time.process_time() < until:
        sum(i * i for i in range(2000))
    return Rollout(answer=str(attempt.seed % 3))


def winners(n_nodes: int, n_tasks: int) -> tuple[dict[str, str], float]:
    """Return the winners by task, and the seconds from each node's first end to the last of all."""
    from ray.cluster_utils import Cluster

    ends: list[float] = []

    def listen(event: Event) -> None:
        if isinstance(event, Ended) and event.kind == "rollout":
            ends.append(time.monotonic())

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    for _ in range(n_nodes - 1):
        cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    experiment = Experiment(
        tasks=[Task(f"t{i}", "compute") for i in range(n_tasks)],
        strategies=[f"vote@{PER_TASK}"],
        agent=agent(busy, version="1"),
        workers=n_nodes,
        where=RayCluster(address=cluster.address),
        listeners=[listen],
    )
    try:
        with tempfile.TemporaryDirectory() as folder, anyio.run(experiment.run, folder) as run:
            chosen = {choice.task_id: choice.winner for choice in run.choices()}
    finally:
        cluster.shutdown()
    return chosen, ends[-1] - ends[n_nodes - 1]


def main(flags: Sequence[str]) -> int:
    """Run, print and return the exit code."""
    try:
        import ray
    except ImportError:
        print("Ray is missing: pip install 'tts-scaling[ray]'", file=sys.stderr)
        return 2
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    del ray
    n_tasks = 2 if "--quick" in flags else 6
    one, seconds_of_one = winners(1, n_tasks)
    two, seconds_of_two = winners(2, n_tasks)
    n = n_tasks * PER_TASK
    rates = (n - 1) / seconds_of_one, (n - 2) / seconds_of_two
    figures = [
        Figure("attempts a second on one node", rates[0], 0, kind="least"),
        Figure("two nodes / one", rates[1] / rates[0], 1.7, kind="least"),
        Figure("tasks with the same winner", sum(two[task] == key for task, key in one.items()), n_tasks),
    ]
    return report("cluster", figures, as_json="--json" in flags)


if __name__ == "__main__":
    started(main, __doc__)
