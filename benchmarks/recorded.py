"""Replay of real recorded samples, beside figures that were computed apart from this project.

The data are read from the folder that the environment variable TTS_DATA names; each of its folders has a
README that says where it comes from.  Nothing of it is copied here but `benchmarks/data`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.goals import Figure, report
from tts.replay import replay

Record = dict[str, Any]

TAU_BENCH_FILE = "tau_bench_airline_gpt4o/trajectories.jsonl"
MATH_FILE = "reasoning_gym_eval/math_50x.jsonl"
GAME24_FILE = "tot_game24/samples.jsonl"
EXCERPT = Path(__file__).parent / "data" / "tau_bench_airline_gpt4o.jsonl"


@dataclass(frozen=True, slots=True)
class Goal:
    """What a strategy should come to on a pool."""

    strategy: str
    value: float
    tolerance: float


TAU_BENCH = (
    Goal("pass^1", 0.420, 0.0005),
    Goal("pass^2", 0.273, 0.0005),
    Goal("pass^3", 0.220, 0.0005),
    Goal("pass^4", 0.200, 0.0005),
    Goal("pass@2", 0.567, 0.0005),
    Goal("pass@3", 0.660, 0.0005),
    Goal("pass@4", 0.720, 0.0005),
)
AMC23 = (
    Goal("pass@1", 0.144, 0.0005),
    Goal("pass@10", 0.4719, 0.00005),
    Goal("pass@50", 0.675, 0.0005),
    Goal("vote@9", 0.221, 0.003),
    Goal("vote@33", 0.2506, 0.003),
    Goal("short-1@9", 0.149, 0.003),
    Goal("short-3@9", 0.166, 0.003),
)
GAME24 = {
    "standard": (Goal("pass@1", 0.0734, 0.00005), Goal("pass@100", 0.33, 0.0005)),
    "cot": (Goal("pass@1", 0.0403, 0.00005), Goal("pass@100", 0.49, 0.0005)),
}


def tau_bench(path: Path) -> Iterator[Record]:
    """Yield the trajectories of tau-bench airline as recorded samples: a trial is a sample."""
    for row in rows(path):
        yield {"task_id": str(row["task_id"]), "sample": row["trial"], "correct": row["reward"]}


def contest(
    path: Path, dataset: str = "amc23", *, model: str = "llama-3b-instruct/step_400"
) -> Iterator[Record]:
    """Yield one model's samples of AMC23 (or AIME24) as recorded samples; length is in characters."""
    for row in rows(path):
        if row["model"] == model and row["dataset"] == dataset:
            for i, sample in enumerate(row["samples"]):
                graded = {"answer": sample["answer"], "correct": sample["correct"]}
                yield {"task_id": f"{dataset}-{row['idx']}", "sample": i, "length": sample["chars"], **graded}


def game24(path: Path, *, method: str) -> Iterator[Record]:
    """Yield one method's samples of the Game of 24 as recorded samples."""
    for row in rows(path):
        if row["method"] == method:
            for i, sample in enumerate(row["samples"]):
                graded = {"answer": sample["answer"], "correct": sample["correct"]}
                yield {"task_id": f"game24-{row['idx']}", "sample": i, "length": sample["chars"], **graded}


def figures(name: str, pool: Iterable[Record], goals: Sequence[Goal]) -> list[Figure]:
    """Return a pool's replayed accuracies beside their goals."""
    comparison = replay(pool, [goal.strategy for goal in goals])
    return [
        Figure(f"{name} {g.strategy}", result.accuracy, g.value, g.tolerance)
        for g, result in zip(goals, comparison.strategies, strict=True)
    ]


def measured(data: Path) -> list[Figure]:
    """Return all figures from the data folder."""
    found = figures("tau-bench airline", tau_bench(data / TAU_BENCH_FILE), TAU_BENCH)
    found += figures("AMC23", contest(data / MATH_FILE), AMC23)
    for method, goals in GAME24.items():
        found += figures(f"Game of 24 {method}", game24(data / GAME24_FILE, method=method), goals)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; return 0, 1 where a goal is missed, 2 where the data are not there."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recorded", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the same: all of it takes seconds")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args(arguments)
    folder = os.environ.get("TTS_DATA", "")
    missing = [f for f in (TAU_BENCH_FILE, MATH_FILE, GAME24_FILE) if not (Path(folder) / f).is_file()]
    if not folder or missing:
        said = f"the folder of TTS_DATA has no {', '.join(missing)}" if folder else "TTS_DATA is not set"
        print(f"{said}; let it name the folder of the recorded data sets", file=sys.stderr)
        return 2
    return report("recorded", measured(Path(folder)), as_json=options.json)


def rows(path: Path) -> Iterator[Record]:
    """Yield the records of a file of JSON lines."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


if __name__ == "__main__":
    sys.exit(main())
