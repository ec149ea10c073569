"""One driver on one work, in processes of their own: the driver, and the provider that it asks."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median
from typing import Any

from benchmarks.neighbours import provider
from benchmarks.neighbours.lines import HERE, Line
from benchmarks.served import served
from tts.testing.provider import Script

SECONDS = 0.2
"""What an answer takes."""


@dataclass(frozen=True, slots=True)
class Work:
    """So many tasks, samples of each, and requests at once, on a provider with a script."""

    letter: str
    told: str
    script: Callable[[float], Script]
    tasks: int
    samples: int
    workers: int


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of a driver came to; `lost` are samples that were answered and did not come home."""

    seconds: float
    cpu_seconds: float
    got: int
    peak_mib: float
    requests: float
    lost: float

    @property
    def rate(self) -> float:
        """Samples that came home, a second."""
        return self.got / self.seconds

    @property
    def cpu_per_1000(self) -> float:
        """Processor seconds for a thousand samples that came home."""
        return 1000 * self.cpu_seconds / max(1, self.got)


def works(tasks: int) -> list[Work]:
    """Return the works (a) to (d), those of many tasks with so many."""
    many = f"{tasks:,} tasks × 16 samples, 32 at once"
    return [
        Work("a", "one task, 16 samples", provider.steady, 1, 16, 16),
        Work("b", many, provider.steady, tasks, 16, 32),
        Work("c", f"{many}, every fourth call 1 s", provider.long_tail, tasks, 16, 32),
        Work("d", f"{many}, 5 % of the requests fail", provider.failing, tasks, 16, 32),
    ]


def measure(line: Line, work: Work, repeats: int) -> list[Run]:
    """Run a driver once, which does the work so many times, and return what each came to.

    Requests and lost samples are told for all together, so each run has its share.

    Raises:
        subprocess.CalledProcessError: the driver failed.
    """
    with served(work.script, SECONDS) as server, tempfile.TemporaryDirectory() as folder:
        job = {
            "url": server.openai_url,
            "tasks": work.tasks,
            "samples": work.samples,
            "workers": work.workers,
            "folder": folder,
            "way": line.way,
            "repeats": repeats,
        }
        command = [str(line.python), str(HERE / "drivers" / f"{line.driver}.py"), json.dumps(job)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    told: list[dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
    answered = sum(request.status == 200 for request in server.requests[1:])  # the first warms up
    lost = max(0, _samples(line, answered) - sum(one["got"] for one in told))
    requests = (len(server.requests) - 1) / repeats
    return [Run(**one, requests=requests, lost=lost / repeats) for one in told]


def _samples(line: Line, answered: int) -> int:
    """How many samples so many answers are; 0 where that cannot be told, so that none counts as lost."""
    return 0 if (line.program, line.way) in {("optillm", "bon"), ("dspy", "majority")} else answered


@dataclass(frozen=True, slots=True)
class Measured:
    """The runs of a line on a work."""

    runs: Sequence[Run]

    def middle(self, of: Callable[[Run], float]) -> float:
        """Return the median of a figure."""
        return median(map(of, self.runs))

    @property
    def spread(self) -> float:
        """Half the range of the rates, as a share of their median."""
        rates = [run.rate for run in self.runs]
        return (max(rates) - min(rates)) / 2 / (median(rates) or 1.0)

    @property
    def lost(self) -> float:
        """What a run lost, on average."""
        return fmean(run.lost for run in self.runs)

    def plain(self) -> list[dict[str, float]]:
        """Return the runs as plain values."""
        return [asdict(run) for run in self.runs]
