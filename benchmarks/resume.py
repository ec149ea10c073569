"""Resume of a long run: from the start of a process to the first effect that is not stored yet.

    python -m benchmarks.resume [--quick] [--json]

A run of 1,000 tasks with 16 rollouts each (quick: 100), chosen among and graded, is stored.  Then a process
of its own opens it with one task more, listed last, the worst place: all that is stored comes before it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import anyio

from benchmarks.goals import Figure, report, started
from tts.events import Event, Started
from tts.experiment import Experiment
from tts.graders import ExpectedAnswer
from tts.protocols import Attempt
from tts.run import Run
from tts.testing import ScriptedAgent
from tts.types import FREE, Budget, Rollout, Step, Task

TASKS, QUICK_TASKS, ROLLOUTS = 1000, 100, 16
REPEATS = 5


async def answer(task: Task, attempt: Attempt) -> Rollout:
    """Answer one of three ways."""
    attempt.record(Step(observation=f"attempt {attempt.index} of {task.id}"))
    return Rollout(answer=str(attempt.seed % 3))


class FirstWork:
    """A listener that notes when the first effect began, and of which task it is."""

    def __init__(self) -> None:
        self.at = 0.0
        self.task = ""

    def __call__(self, event: Event) -> None:
        """Hear an event."""
        if isinstance(event, Started) and not self.task:
            self.at, self.task = time.time(), event.task_id


def run(folder: Path, n_tasks: int) -> FirstWork:
    """Run what is missing of so many tasks."""
    heard = FirstWork()
    tasks = [Task(f"t{i:05}", "one of three") for i in range(n_tasks)]
    experiment = Experiment(
        tasks=tasks,
        strategies=[f"vote@{ROLLOUTS}"],
        agent=ScriptedAgent(answer, "resume", FREE),
        grader=ExpectedAnswer({f"t{i:05}": "1" for i in range(2 * TASKS)}, "text"),
        budget=Budget(rollouts=10**9),
        workers=64,
        window=64,
        listeners=[heard],
    )
    anyio.run(experiment.run, folder).close()
    return heard


def child(folder: str, n_tasks: str) -> None:
    """Resume, and print the Unix time of the first new effect, and which task it is of."""
    heard = run(Path(folder), int(n_tasks))
    print(json.dumps({"at": heard.at, "task": heard.task}))


def resumed(folder: Path, n_tasks: int) -> float:
    """Return the seconds from the start of a process of its own to its first new effect."""
    command = [sys.executable, "-m", "benchmarks.resume", "child", str(folder), str(n_tasks)]
    started = time.time()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["task"] == f"t{n_tasks - 1:05}", "the first new effect is of the task that was added"
    return float(told["at"]) - started


def main(flags: Sequence[str]) -> int:
    """Run, print and return the exit code."""
    n_tasks = QUICK_TASKS if "--quick" in flags else TASKS
    with tempfile.TemporaryDirectory() as place:
        run(Path(place), n_tasks)
        with Run.open(place) as stored:
            n_rollouts = len(stored.rollouts())
        seconds = [resumed(Path(place), n_tasks + 1 + i) for i in range(REPEATS)]
    if "--json" not in flags:
        print(f"seconds from process start: {', '.join(f'{x:.2f}' for x in seconds)}")
    figures = [
        Figure("rollouts stored", n_rollouts, n_tasks * ROLLOUTS),
        Figure("resume to the first new work", median(seconds), 1.5, kind="most", unit="s"),
    ]
    return report("resume", figures, as_json="--json" in flags)


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(*sys.argv[2:])
    else:
        started(main, __doc__)
