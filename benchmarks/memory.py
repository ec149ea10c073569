"""Memory of a long run: the curve of resident memory against attempts done, and whether it is flat.

    python -m benchmarks.memory [--quick] [--json]

Runs `tts swebench run`'s own path on made-up instances with a scripted agent of small steps: 500 instances of
16 attempts each (quick: 60), summaries from captured evidence, RTV with the evidence judge, and predictions
and trajectories written as tasks end. No model, no clone, no sandbox: what is left is the engine's own.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from statistics import fmean

import anyio

from benchmarks.goals import Figure, report, started
from tts.cli.models import voices_of
from tts.cli.swebench.cast import Players
from tts.cli.swebench.running import Request, experiment_of, perform
from tts.cli.swebench.selection import Selection
from tts.events import Ended, Event
from tts.protocols import Attempt
from tts.report.facts import report_of_run
from tts.report.markdown import markdown
from tts.run import Run
from tts.testing import ScriptedAgent
from tts.types import FREE, Budget, Rollout, Step, Task

INSTANCES, ATTEMPTS = 500, 16
QUICK_INSTANCES = 60
MIB = 1024 * 1024
STEPS = 12
OUTPUT = "line of a command's output that is kept with the step\n" * 20
"""About a kilobyte a step."""


async def work(task: Task, attempt: Attempt) -> Rollout:
    """Record a few steps that edit and test, and hand in one of four patches."""
    for i in range(STEPS):
        command = "python -m pytest -q" if i % 4 == 3 else f"sed -n {i},{i + 40}p src/module.py"
        attempt.record(Step(f"look at part {i}", command, OUTPUT, returncode=int(i % 8 == 3)))
    variant = attempt.seed % 4
    patch = f"--- a/src/module.py\n+++ b/src/module.py\n@@ -1 +1 @@\n-x = 0\n+x = {variant}  # {task.id}\n"
    return Rollout(patch=patch, length=float(STEPS))


agent = ScriptedAgent(work, "memory", FREE)
"""What the benchmark names as its agent."""


def resident_bytes() -> int:
    """Return the memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True)
class Curve:
    """A listener that notes resident memory each time another hundredth of the attempts is done.

    `after` is what is held once the report has been made.
    """

    total: int
    done: int = 0
    votes: int = 0
    after: int = 0
    points: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def __call__(self, event: Event) -> None:
        """Count a rollout or a vote."""
        self.votes += isinstance(event, Ended) and event.kind == "verdict"
        if isinstance(event, Ended) and event.kind == "rollout":
            self.done += 1
            if self.done % max(1, self.total // 100) == 0:
                self.points.append((self.done, resident_bytes()))

    def quarter(self, number: int) -> float:
        """Return the mean of a quarter of the attempts (1 to 4), in MiB."""
        low, high = (number - 1) * self.total / 4, number * self.total / 4
        return fmean(size for done, size in self.points if low < done <= high) / MIB


def instances(folder: Path, n: int) -> Path:
    """Write made-up instances and return the file."""
    path = folder / "instances.jsonl"
    with path.open("w") as file:
        for i in range(n):
            row = {
                "instance_id": f"made__up-{i:04}",
                "repo": "made/up",
                "base_commit": f"{i:040x}",
                "problem_statement": f"Function {i} returns the wrong value.\n" * 20,
                "image_name": "made-up",
                "FAIL_TO_PASS": ["test_a"],
                "PASS_TO_PASS": ["test_b"],
            }
            file.write(json.dumps(row) + "\n")
    return path


def measured(n: int, folder: Path) -> tuple[Curve, float]:
    """Run and return the curve and the seconds that it took."""
    curve = Curve(n * ATTEMPTS)
    request = Request(
        selection=Selection(str(instances(folder, n)), "test"),
        repos=None,
        strategies=(f"rtv@{ATTEMPTS}",),
        place=folder / "run",
        players=Players(agent="benchmarks.memory:agent"),
        voices=voices_of({}),
        budget=Budget(),
        task_budget=Budget(),
        seed=0,
        workers=8,
    )
    started = time.monotonic()

    async def main() -> None:
        experiment = replace(experiment_of(request), workspaces=None, listeners=[curve])
        await perform(experiment, request, n_rollouts=curve.total, grace_seconds=0)

    anyio.run(main)
    with Run.open(request.place) as run:
        told = markdown(report_of_run(run))
    assert f"rtv@{ATTEMPTS}" in told
    curve.after = resident_bytes()
    return curve, time.monotonic() - started


@contextmanager
def quiet() -> Generator[None]:
    """Keep progress from stderr."""
    with redirect_stderr(StringIO()):
        yield


def drawn(curve: Curve, n: int = 20) -> str:
    """Return the curve as text: a bar for every twentieth of the attempts."""
    shown = curve.points[:: max(1, len(curve.points) // n)]
    top = max(size for _, size in curve.points)
    return "\n".join(
        f"{done:>6,}  {size / MIB:7.1f} MiB  {'█' * round(40 * size / top)}" for done, size in shown
    )


def main(flags: Sequence[str]) -> int:
    """Run, print and return the exit code."""
    n = QUICK_INSTANCES if "--quick" in flags else INSTANCES
    with tempfile.TemporaryDirectory() as folder, quiet():
        curve, seconds = measured(n, Path(folder))
    if "--json" not in flags:
        print(f"{n} instances × {ATTEMPTS} attempts and {curve.votes:,} votes in {seconds:.0f} s")
        print(f"Resident memory by attempts done:\n\n{drawn(curve)}\n")
    ratio = curve.quarter(4) / curve.quarter(2)
    figures = [
        Figure("attempts done", curve.done, curve.total, kind="least"),
        Figure("last quarter's memory / second quarter's", ratio, 1.15, kind="most"),
        Figure("most memory", max(size for _, size in curve.points) / MIB, 150, kind="most", unit="MiB"),
        Figure("memory after the report", curve.after / MIB, 250, kind="most", unit="MiB"),
    ]
    return report("memory", figures, as_json="--json" in flags)


if __name__ == "__main__":
    started(main, __doc__)
