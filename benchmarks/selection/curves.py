"""Accuracy against each price of a vote: judge calls, prompt tokens, and rounds that wait for one another.

    python -m benchmarks.selection.curves [--quick] [--svg FILE]

Plays RTV with 1 to 8 votes on a pair, and the arena with 10 to 120 votes in three ways: one at a time, in
waves, and four on each prompt.  A prompt's tokens count in full where the order of a pair is new, and at a
tenth where the votes before have cached it.  Simulated, with 95 % intervals; `--svg` draws it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tts_strategies.arena import Arena
from tts_strategies.rtv import RTV

from benchmarks.selection.arms import Arm, Outcome, interval, measured
from benchmarks.selection.world import CALIBRATIONS

CACHED = 0.1
"""The price of a cached prompt token in new ones."""
SIZES = (10, 20, 30, 40, 60, 80, 120)
WHOLE = Arena(level=1.0, gain=0.0, wave=1)
"""Spends all its votes, one at a time."""

CURVES: Mapping[str, Sequence[RTV | Arena]] = {
    "rtv, 1 to 8 votes a pair": [RTV(votes=v, tie_rounds=0) for v in (1, 2, 4, 8)],
    "arena, one vote at a time": [replace(WHOLE, votes=n) for n in SIZES],
    "arena, waves of a quarter": [replace(WHOLE, votes=n, wave=n // 4) for n in SIZES if n % 4 == 0],
    "arena, four votes a prompt": [replace(WHOLE, votes=n, each=4) for n in SIZES if n % 4 == 0],
}
CURRENCIES = ("judge calls", "prompts, cached ones at a tenth", "rounds")


@dataclass(frozen=True, slots=True)
class Point:
    """Accuracy with its interval, all in per cent, and the mean costs in the order of `CURRENCIES`."""

    accuracy: float
    low: float
    high: float
    costs: tuple[float, float, float]

    @classmethod
    def of(cls, one: Outcome) -> Point:
        """Return the point of an outcome."""
        cached = one.prompts + CACHED * (one.votes - one.prompts)
        costs = one.votes.mean(), cached.mean(), one.rounds.mean()
        mean, low, high = (100 * x for x in interval(one.right))
        return cls(mean, low, high, (float(costs[0]), float(costs[1]), float(costs[2])))


def points(calibration: str, tasks: int) -> dict[str, list[Point]]:
    """Return the points of each curve, cheapest first."""
    arms = {f"{name}/{i}": Arm(stage) for name, stages in CURVES.items() for i, stage in enumerate(stages)}
    found = measured(calibration, arms, tasks)
    return {
        name: [Point.of(found[f"{name}/{i}"]) for i in range(len(stages))] for name, stages in CURVES.items()
    }


def table(calibration: str, curves: Mapping[str, Sequence[Point]]) -> str:
    """Return the points as text."""
    lines = [f"{calibration + ' (simulated)':<32}accuracy (95 % interval)    calls  prompts  rounds"]
    for name, found in curves.items():
        for point in found:
            costs = "".join(f"{cost:>9.1f}" for cost in point.costs)
            lines.append(f"  {name:<30}{point.accuracy:.2f} ({point.low:.2f} to {point.high:.2f}) {costs}")
    return "\n".join(lines)


def draw(all_curves: Mapping[str, Mapping[str, Sequence[Point]]], path: Path) -> None:
    """Write the curves as an SVG figure: a row for each calibration, a column for each currency."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "tts", "svg.fonttype": "none", "font.size": 8})
    shape = len(all_curves), len(CURRENCIES)
    figure, axes = plt.subplots(*shape, figsize=(9, 9.5), sharey="row", constrained_layout=True)
    for row, (calibration, curves) in zip(axes, all_curves.items(), strict=True):
        for column, (axis, currency) in enumerate(zip(row, CURRENCIES, strict=True)):
            for name, marker in zip(curves, "so^D", strict=True):
                drawn = curves[name]
                x = [point.costs[column] for point in drawn]
                y = [point.accuracy for point in drawn]
                half = np.array([(p.accuracy - p.low, p.high - p.accuracy) for p in drawn]).T
                axis.errorbar(x, y, half, marker=marker, markersize=3.5, linewidth=1, capsize=1.5, label=name)
            axis.set_xscale("log")
            axis.xaxis.set_major_formatter("{x:g}")
            axis.set_xticks(
                [t for t in (2, 5, 10, 20, 40, 80, 120) if axis.get_xlim()[0] < t < axis.get_xlim()[1]]
            )
            axis.minorticks_off()
            axis.grid(alpha=0.3)
            axis.set_xlabel(currency)
        row[0].set_ylabel(f"{calibration}\nright choice, %")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)


def main(flags: Sequence[str]) -> int:
    """Print the curves of all calibrations, and draw them where a file is named."""
    tasks = 2_500 if "--quick" in flags else 10_000
    found: dict[str, dict[str, list[Point]]] = {}
    for calibration in CALIBRATIONS:
        found[calibration] = points(calibration, tasks)
        print(table(calibration, found[calibration]), flush=True)
    if "--svg" in flags:
        draw(found, Path(flags[list(flags).index("--svg") + 1]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
