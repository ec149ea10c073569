"""What every driver does: read its job, warm up, run, and print one line of JSON.

A driver runs in the environment of the program that it drives, so this stands on the standard library alone.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

SYSTEM = "You are a careful mathematician."


@dataclass(frozen=True)
class Job:
    """So many tasks, samples of each, and requests at once, at the provider's `url`; done `repeats` times."""

    url: str
    tasks: int
    samples: int
    workers: int
    folder: str
    way: str = ""
    repeats: int = 1

    def prompt(self, task: int) -> str:
        """Return the question of a task."""
        return f"Question {task}: what is {task} + 1? Put your final answer into \\boxed{{}}."


def cpu_seconds() -> float:
    """Return the processor time of this process and its ended children."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def drive(work: Callable[[Job], int]) -> None:
    """Run the job of the command line; `work` returns how many samples it brought home.

    A first call with one task and one sample, which is not measured, lets everything load that loads late.
    """
    job = Job(**json.loads(sys.argv[1]))
    work(replace(job, tasks=1, samples=1, folder=f"{job.folder}/warm"))
    told = [measured(work, replace(job, folder=f"{job.folder}/{i}")) for i in range(job.repeats)]
    print(json.dumps(told))


def measured(work: Callable[[Job], int], job: Job) -> dict[str, float]:
    """Return what a job came to and took."""
    started, used = time.perf_counter(), cpu_seconds()
    got = work(job)
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": cpu_seconds() - used,
        "got": got,
        "peak_mib": peak_mib(),
    }


def peak_mib() -> float:
    """Return the most memory of this process so far; `ru_maxrss` has that of whoever started it in it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def drive_async(work: Callable[[Job], Awaitable[int]]) -> None:
    """Do as `drive` with a coroutine, in an event loop of its own each time."""
    drive(lambda job: asyncio.run(work(job)))  # type: ignore[arg-type]
