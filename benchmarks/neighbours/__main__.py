"""tts beside its neighbours: the same samples from the same provider over HTTP on loopback.

    python -m benchmarks.neighbours [--tasks N] [--repeats N] [--only NAME …] [--works LETTERS]
                                    [--keep | --quick]

Each program runs in an environment of its own under benchmarks/.venvs, made at the first run.  A driver warms
up and then does its work so many times; every figure is the median of those.  Results go to docs/benchmarks
as JSON, a table and a plot; `--keep` leaves those as they are, `--quick` measures floor and tts alone and
writes nothing either.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from benchmarks.__main__ import circumstances
from benchmarks.goals import Figure, report
from benchmarks.neighbours import telling
from benchmarks.neighbours.lines import LINES, REQUIREMENTS, Line, prepare
from benchmarks.neighbours.measuring import Measured, Work, measure, works


def measured(lines: Sequence[Line], chosen: Sequence[Work], repeats: int) -> telling.Table:
    """Run every line on every work, so many times; a driver that fails leaves that line out."""
    found: dict[str, dict[str, Measured]] = {work.letter: {} for work in chosen}
    for work, line in product(chosen, lines):
        try:
            one = Measured(measure(line, work, repeats))
        except subprocess.CalledProcessError as error:
            print(f"{line.name} failed: {error.stderr.strip()[-300:]}", file=sys.stderr)
            continue
        found[work.letter][line.name] = one
        rate = one.middle(lambda run: run.rate)
        print(f"({work.letter}) {line.name}: {rate:.1f} samples a second", file=sys.stderr, flush=True)
    return found


def figures(table: telling.Table) -> Iterator[Figure]:
    """Yield the goals: how tts stands to the floor and to the fastest neighbour, and what it loses."""
    for letter, found in table.items():
        rates = {name: one.middle(lambda run: run.rate) for name, one in found.items()}
        for ours, floor in (("tts sdk", "floor"), ("tts chat", "floor stream")):
            ratio = rates[ours] / rates[floor] if ours in rates and floor in rates else None
            yield Figure(f"({letter}) {ours} / {floor}", ratio, 0.9, kind="least")
        yield from _beside_the_best(letter, found, rates)
        if letter == "d":
            lost = [found[name].lost for name in found if name in ("tts sdk", "tts chat")]
            yield Figure("(d) samples that tts lost", max(lost, default=None), 0)


def _beside_the_best(
    letter: str, found: Mapping[str, Measured], rates: Mapping[str, float]
) -> Iterator[Figure]:
    ours = [name for name in rates if name.startswith("tts ")]
    others = [name for name in rates if name.partition(" ")[0] in REQUIREMENTS]
    if ours and others:
        best, rival = max(ours, key=rates.__getitem__), max(others, key=rates.__getitem__)
        noise = found[best].spread + found[rival].spread
        name = f"({letter}) {best} / {rival}, noise {noise:.3f}"
        yield Figure(name, rates[best] / rates[rival], 1.0, noise, kind="least")


def main(flags: Sequence[str] | None = None) -> int:
    """Measure, write, print and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.neighbours", description=__doc__)
    parser.add_argument("--tasks", type=int, default=50, help="tasks of (b) to (d)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--only", nargs="*", metavar="NAME", help="these programs, or lines of theirs, beside floor and tts"
    )
    parser.add_argument("--works", default="abcd", metavar="LETTERS")
    parser.add_argument("--keep", action="store_true", help="write nothing to docs/benchmarks")
    parser.add_argument(
        "--quick", action="store_true", help="floor and tts alone, few tasks, nothing written"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    given = parser.parse_args(flags)
    wanted = set() if given.quick else set(REQUIREMENTS if given.only is None else given.only)
    lines = [line for line in LINES if line.is_ours or wanted & {line.program, line.name}]
    if unknown := wanted - {name for line in LINES for name in (line.program, line.name)}:
        parser.error(f"no line of the comparison is named {sorted(unknown)[0]!r}")
    for program in sorted({line.program for line in lines if not line.is_ours}):
        prepare(program)
    chosen = [work for work in works(10 if given.quick else given.tasks) if work.letter in given.works]
    table = measured(lines, chosen, 2 if given.quick else given.repeats)
    if not (given.quick or given.keep):
        telling.write(table, chosen, circumstances())
    if not given.json:
        print(telling.text(table, chosen))
    return report("neighbours", list(figures(table)), as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
