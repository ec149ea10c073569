"""Figures beside their goals: a table, a JSON document and an exit code."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NoReturn

Kind = Literal["near", "least", "most"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value and its goal.

    `near`: within `tolerance` of the goal. `least` and `most`: not below, or not above, by more than
    `tolerance`. `value` None means that it could not be measured, which misses. `unit` is for reading only.
    """

    name: str
    value: float | None
    goal: float
    tolerance: float = 0.0
    kind: Kind = "near"
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the goal is met; rounding in the last bit is forgiven."""
        if self.value is None or not math.isfinite(self.value):
            return False
        slack = self.tolerance + 1e-12 * max(1.0, abs(self.goal))
        beyond = self.value - self.goal
        return {"near": abs(beyond), "least": -beyond, "most": beyond}[self.kind] <= slack

    @property
    def aim(self) -> str:
        """The goal as text."""
        sign = {"near": "", "least": "≥ ", "most": "≤ "}[self.kind]
        spread = f" ± {_short(self.tolerance)}" if self.tolerance else ""
        return f"{sign}{_short(self.goal)}{spread}{self.unit and ' ' + self.unit}"


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as text, one a line: name, value, goal, ok or MISSED."""
    rows = [(f.name, _short(f.value), f.aim, "ok" if f.met else "MISSED") for f in figures]
    rows.insert(0, ("figure", "value", "goal", ""))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in padded)


def document(name: str, figures: Sequence[Figure]) -> dict[str, Any]:
    """Return a benchmark's result as plain values."""
    lines = [{**asdict(f), "value": _known(f.value), "met": f.met} for f in figures]
    return {"benchmark": name, "met": all(f.met for f in figures), "figures": lines}


def report(name: str, figures: Sequence[Figure], *, as_json: bool = False) -> int:
    """Print the figures, as a table or as one JSON document; return the exit code (1: missed)."""
    print(json.dumps(document(name, figures), ensure_ascii=False) if as_json else table(figures))
    return 0 if all(f.met for f in figures) else 1


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _short(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.5g}"


def started(main: Callable[[Sequence[str]], int], told: str | None) -> NoReturn:
    """Run a benchmark with the flags of the command line; with --help, say what it measures instead."""
    flags = sys.argv[1:]
    if {"--help", "-h"} & set(flags):
        print(told)
        sys.exit(0)
    sys.exit(main(flags))
