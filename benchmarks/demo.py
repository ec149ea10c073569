"""The demo over several seeds: does refinement pay, and by how much, with paired intervals over tasks.

    python -m benchmarks.demo [--quick] [--json]

Runs `tts demo` once a seed (quick: on the first 8 bugs). A task's value is its mean over the seeds, so the
task stays the unit of uncertainty.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from benchmarks.goals import Figure, report, started
from tts import stats

SEEDS = (0, 1, 2)
BASE, BEST = "single", "pdr-rtv@6"

Values = dict[str, dict[str, float]]
"""Strategy → task → mean over the seeds of whether it was resolved."""


def run(seed: int, folder: Path, flags: Sequence[str]) -> Values:
    """Return one seed's values, by running the demo as a user would."""
    command = [
        sys.executable,
        "-m",
        "tts",
        "demo",
        "-o",
        str(folder / str(seed)),
        "--seed",
        str(seed),
        "--json",
    ]
    done = subprocess.run([*command, *flags], check=True, capture_output=True, text=True)
    values: Values = {}
    for task in json.loads(done.stdout)["tasks"]:
        for strategy, value in task["values"].items():
            values.setdefault(strategy, {})[task["task_id"]] = value
    return values


def averaged(runs: Sequence[Values]) -> Values:
    """Return each task's mean over the runs, for the tasks that all runs have."""
    return {
        strategy: {
            task: fmean(run[strategy][task] for run in runs)
            for task in runs[0][strategy]
            if all(task in run[strategy] for run in runs)
        }
        for strategy in runs[0]
    }


def line(name: str, values: Mapping[str, float], base: Mapping[str, float]) -> str:
    """Return a strategy's rate and its paired difference to the base, with their intervals, in per cent."""
    rate = stats.mean(list(values.values()))
    told = f"{name:<12} {100 * rate.value:5.1f} ± {100 * (rate.se or 0):.1f} %"
    gap = difference(values, base)
    if gap.ci95 is None or values is base:
        return told
    low, high = gap.ci95
    return f"{told}   − {BASE}: {100 * gap.value:+5.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"


def difference(values: Mapping[str, float], base: Mapping[str, float]) -> stats.Difference:
    """Return the paired difference over the tasks that both have."""
    tasks = [task for task in values if task in base]
    return stats.paired_difference([values[t] for t in tasks], [base[t] for t in tasks])


def main(flags: Sequence[str]) -> int:
    """Run, print and return the exit code."""
    limit = ["--limit", "8"] if "--quick" in flags else []
    with tempfile.TemporaryDirectory() as folder:
        values = averaged([run(seed, Path(folder), limit) for seed in SEEDS])
    if "--json" not in flags:
        print(f"{len(values[BASE])} tasks, mean over seeds {', '.join(map(str, SEEDS))}; oracles: pass@k")
        print("\n".join(line(name, found, values[BASE]) for name, found in values.items()) + "\n")
    gap = difference(values[BEST], values[BASE])
    low = None if gap.ci95 is None else gap.ci95[0]
    figures = [
        Figure(f"{BEST} − {BASE}", gap.value, 0.0, kind="least"),
        Figure(f"{BEST} − {BASE}, lower end of the 95 % interval", low, 0.0, kind="least"),
    ]
    return report("demo", figures, as_json="--json" in flags)


if __name__ == "__main__":
    started(main, __doc__)
