"""The page of a large run: how long it takes to write, in how much memory, how large, how soon it shows.

    python -m benchmarks.report_size [--quick] [--json]

A run of 500 tasks with 16 attempts each (quick: 40) whose trajectories are 100 kB, with votes of the evidence
judge and grades, is made by scripts. Its page is written by the command line in a process of its own, whose
peak memory is read; Chromium, where there is one, tells its first paint with the network off.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import anyio

from benchmarks.goals import Figure, report, started
from tts.experiment import Experiment
from tts.graders import ExpectedAnswer
from tts.judges.evidence import EvidenceJudge
from tts.protocols import Attempt
from tts.summarizers.extractive import ExtractiveSummarizer
from tts.testing import ScriptedAgent
from tts.types import FREE, Rollout, Step, Task

TASKS, QUICK_TASKS, ATTEMPTS = 500, 40, 16
STEPS, OUTPUT = 20, "a line of a command's output, as long as such lines are\n" * 90
"""Twenty steps of five kilobytes."""
MIB = 1024 * 1024


async def work(task: Task, attempt: Attempt) -> Rollout:
    """Record 100 kB of steps, and hand in one of five answers."""
    for i in range(STEPS):
        failed = int(i % 8 == 3)
        attempt.record(
            Step(f"look at part {i}", f"sed -n {i}p module.py", f"{i}\n{OUTPUT}", returncode=failed)
        )
    patch = (
        f"--- a/module.py\n+++ b/module.py\n@@ -1 +1 @@\n-x = 0\n+x = {attempt.seed % 5}\n" + "+# more\n" * 40
    )
    return Rollout(answer=f"{attempt.seed % 5}", patch=patch, length=float(STEPS))


def made(place: Path, n_tasks: int) -> float:
    """Make the run; return the bytes of its trajectories."""
    tasks = [
        Task(f"org{i % 12}__project-{i}", f"Task {i}: mend it.\n" * 20, metadata={"repo": f"r{i % 12}"})
        for i in range(n_tasks)
    ]
    experiment = Experiment(
        tasks=tasks,
        strategies=["single", f"vote@{ATTEMPTS}", f"rtv@{ATTEMPTS}", f"pass@{ATTEMPTS}"],
        agent=ScriptedAgent(work, "report-size", FREE),
        summarizer=ExtractiveSummarizer(),
        judge=EvidenceJudge(),
        grader=ExpectedAnswer({task.id: "3" for task in tasks}, "text"),
        workers=8,
    )
    with anyio.run(experiment.run, place) as run:
        return float(sum(r.trace_bytes for r in run.rollouts().values()))


def written(place: Path, page: Path) -> tuple[float, float]:
    """Write the page as a user does; return seconds and peak MiB."""
    command = [
        sys.executable,
        "-m",
        "tts",
        "report",
        str(place),
        "-f",
        "html",
        "-o",
        str(page),
        "--group",
        "repo",
    ]
    began = time.perf_counter()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    peak_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return time.perf_counter() - began, peak_kib / 1024


def painted(page: Path) -> float | None:
    """Return the seconds to the first contentful paint, the middle of three; None without a browser."""
    browser = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if browser is None:
        return None
    told: list[float] = []
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for _ in range(3):
            tab = opened.new_context(offline=True, bypass_csp=True).new_page()  # the driver's own waiting
            tab.goto(page.as_uri())
            tab.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
            told.append(
                tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000
            )
        opened.close()
    return sorted(told)[1]


def main(flags: Sequence[str]) -> int:
    """Make the run, write its page, and print what that took; return 1 where a goal is missed."""
    n_tasks = QUICK_TASKS if "--quick" in flags else TASKS
    with tempfile.TemporaryDirectory() as folder:
        place, page = Path(folder) / "run", Path(folder) / "page.html"
        n_bytes = made(place, n_tasks)
        seconds, peak_mib = written(place, page)
        size = page.stat().st_size
        paint = painted(page)
    what = f"{n_tasks} tasks × {ATTEMPTS}, {n_bytes / n_tasks / ATTEMPTS / 1000:.0f} kB each"
    figures = [
        Figure(f"{what}: written in", seconds, 60.0, kind="most", unit="s"),
        Figure("peak memory", peak_mib, 1024.0, kind="most", unit="MiB"),
        Figure("the page", size / 1e6, 6.0, kind="most", unit="MB"),
        Figure("first paint", paint, 2.0, kind="most", unit="s"),
    ]
    return report("report_size", figures, as_json="--json" in flags)


if __name__ == "__main__":
    started(main, __doc__)
