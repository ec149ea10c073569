"""A run of 100,000 rollouts of 100 kB: memory, the size of the store, and finished effects a second.

    python -m benchmarks.scale [--quick] [--json] [--rollouts N]

6,250 tasks of 16 rollouts (quick: 125), with a vote, in one process; the trajectories are made as in
`benchmarks.traces`.  Memory is that of the process as it goes.  Then 20,000 rollouts of one short step show
how many effects a second are on disk when nothing but the engine takes time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from benchmarks.goals import Figure, report
from benchmarks.memory import MIB, resident_bytes
from benchmarks.traces import sources, trajectory
from tts.events import Ended, Event
from tts.experiment import Experiment
from tts.protocols import Agent, Attempt
from tts.store import Store
from tts.testing import ScriptedAgent
from tts.types import FREE, Budget, Rollout, Step, Task

ROLLOUTS, QUICK_ROLLOUTS, PER_TASK = 100_000, 2_000, 16
SHORT, QUICK_SHORT = 20_000, 4_000
KILOBYTES = 100
BOUND = Budget(seconds=60.0)
"""With a bound, a rollout's start is on disk before it begins, as that of one that costs money is."""


@dataclass(slots=True)
class Curve:
    """A listener that notes memory and time as rollouts end."""

    total: int
    done: int = 0
    started: float = field(default_factory=time.perf_counter)
    points: list[tuple[int, float, int]] = field(default_factory=list[tuple[int, float, int]])

    def __call__(self, event: Event) -> None:
        """Count a rollout."""
        if isinstance(event, Ended) and event.kind == "rollout":
            self.done += 1
            if self.done % max(1, self.total // 50) == 0:
                self.points.append((self.done, time.perf_counter() - self.started, resident_bytes()))

    def most(self, low: float, high: float) -> float:
        """Return the most memory between two shares of the rollouts, in MiB."""
        return (
            max(size for done, _, size in self.points if low * self.total < done <= high * self.total) / MIB
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    curve: Curve
    seconds: float
    raw_bytes: int
    stored_bytes: int


async def long(task: Task, attempt: Attempt) -> Rollout:
    """Leave a trajectory of 100 kB and one of four patches."""
    for step in trajectory(task.id, attempt.index, 1000 * KILOBYTES):
        attempt.record(step)
    return Rollout(patch=f"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-x = 0\n+x = {attempt.seed % 4}\n")


async def short(task: Task, attempt: Attempt) -> Rollout:
    """Leave one short step and one of four answers."""
    attempt.record(Step("look", "ls", "a line of output"))
    return Rollout(answer=str(attempt.seed % 4))


def run(agent: Agent, n: int) -> Outcome:
    """Run so many rollouts."""
    curve = Curve(n)
    experiment = Experiment(
        tasks=[Task(f"t{i:05}", "one of four") for i in range(-(-n // PER_TASK))],
        strategies=[f"vote@{PER_TASK}"],
        agent=agent,
        workers=32,
        window=16,
        listeners=[curve],
    )
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        made = anyio.run(experiment.run, folder)
        seconds = time.perf_counter() - started
        made.close()
        raw = _raw_bytes(Path(folder))
        stored = sum(path.stat().st_size for path in Path(folder).iterdir())
    return Outcome(curve, seconds, raw, stored)


def _raw_bytes(folder: Path) -> int:
    """Return the bytes of all trajectories' texts, as the rollouts tell."""
    with closing(Store.read(folder)) as store:
        return sum(record.read(Rollout).trace_bytes for record in store.records(kind="rollout"))


def drawn(curve: Curve) -> str:
    """Return the curve as text."""
    shown = curve.points[:: max(1, len(curve.points) // 10)]
    lines = (f"{done:>8,} rollouts  {seconds:7.1f} s  {size / MIB:6.1f} MiB" for done, seconds, size in shown)
    return "\n".join(lines)


def main(flags: Sequence[str] | None = None) -> int:
    """Run, print and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rollouts", type=int)
    given = parser.parse_args(flags)
    n = given.rollouts or (QUICK_ROLLOUTS if given.quick else ROLLOUTS)
    sources()
    big = run(ScriptedAgent(long, "scale", BOUND), n)
    small = run(ScriptedAgent(short, "short", BOUND), QUICK_SHORT if given.quick else SHORT)
    free = run(ScriptedAgent(short, "free", FREE), QUICK_SHORT if given.quick else SHORT)
    if not given.json:
        told = (
            f"{n:,} rollouts, {big.raw_bytes / 1e9:.2f} GB of text, {big.stored_bytes / 1e9:.3f} GB on disk"
        )
        print(f"{told}, {big.seconds:.0f} s\n\n{drawn(big.curve)}\n")
    early, late = big.curve.most(0.0, 0.1), big.curve.most(0.1, 1.0)
    share = 100 * big.stored_bytes / big.raw_bytes
    figures = [
        Figure("rollouts done", big.curve.done, n, kind="least"),
        Figure("bytes of a trajectory", big.raw_bytes / n / 1000, KILOBYTES, 5, unit="kB"),
        Figure("most memory", max(early, late), 400, kind="most", unit="MiB"),
        Figure("most memory after a tenth / within it", late / early, 1.15, kind="most"),
        Figure("size of the store", share, 15, kind="most", unit="% of the text"),
        Figure(
            "effects a second, each with a start on disk",
            small.curve.done / small.seconds,
            1000,
            kind="least",
        ),
        Figure("effects a second, free ones", free.curve.done / free.seconds, 1000, kind="least"),
        Figure("rollouts of 100 kB a second", big.curve.done / big.seconds, 0, kind="least"),
    ]
    return report("scale", figures, as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
