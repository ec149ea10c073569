"""What was measured, told: JSON, a table in Markdown and a plot, in docs/benchmarks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.neighbours.lines import HERE
from benchmarks.neighbours.measuring import Measured, Work

DOCS = HERE.parent.parent / "docs" / "benchmarks"
HEAD = (
    "| program | samples/s | ± | / floor | CPU s / 1,000 | peak MiB | requests | lost |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|"
)

BEGIN, END = "<!-- measured -->", "<!-- end -->"
"""Between these marks the page has the tables."""

Table = Mapping[str, Mapping[str, Measured]]
"""What was measured, by the letter of the work and the name of the line."""


def text(table: Table, works: Sequence[Work]) -> str:
    """Return a table of each work, in Markdown."""
    return "\n\n".join(_work(work, table[work.letter]) for work in works if table.get(work.letter))


def _work(work: Work, found: Mapping[str, Measured]) -> str:
    return f"### ({work.letter}) {work.told}\n\n{HEAD}\n" + "\n".join(_rows(found))


def _rows(found: Mapping[str, Measured]) -> Iterator[str]:
    floor = found["floor"].middle(lambda run: run.rate) if "floor" in found else 0.0
    for name, one in sorted(found.items(), key=lambda item: -item[1].middle(lambda run: run.rate)):
        rate = one.middle(lambda run: run.rate)
        cells = (
            f"{rate:.1f}",
            f"{one.spread:.1%}",
            f"{rate / floor:.3f}" if floor else "",
            f"{one.middle(lambda run: run.cpu_per_1000):.2f}",
            f"{one.middle(lambda run: run.peak_mib):.0f}",
            f"{one.middle(lambda run: run.requests):,.0f}",
            f"{one.lost:,.1f}",
        )
        yield f"| {name} | {' | '.join(cells)} |"


def write(table: Table, works: Sequence[Work], circumstances: str) -> None:
    """Write all three."""
    DOCS.mkdir(parents=True, exist_ok=True)
    plain = {letter: {name: one.plain() for name, one in found.items()} for letter, found in table.items()}
    facts = dict(line.split(": ", 1) for line in circumstances.splitlines())
    told = {work.letter: work.told for work in works}
    document = {"circumstances": facts, "works": told, "runs": plain}
    (DOCS / "neighbours.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    page = DOCS / "index.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    told_facts = "; ".join(f"{name} {value}" for name, value in facts.items())
    shown = f"{BEGIN}\n\n{text(table, works)}\n\nMeasured: {told_facts}.\n\n{END}"
    page.write_text(before + shown + rest.partition(END)[2], encoding="utf-8")
    plot(table, works, DOCS / "neighbours.svg")


def plot(table: Table, works: Sequence[Work], path: Path) -> None:
    """Draw the rates of each work as a share of the floor's."""
    from matplotlib.figure import Figure

    shown = [work for work in works if table.get(work.letter)]
    figure = Figure(figsize=(4.2 * len(shown), 4.5), layout="constrained")
    panes = figure.subplots(1, len(shown), squeeze=False)[0]
    for pane, work in zip(panes, shown, strict=True):
        found = table[work.letter]
        floor = found["floor"].middle(lambda run: run.rate)
        ordered = sorted(found.items(), key=lambda item: item[1].middle(lambda run: run.rate))
        names = [name for name, _ in ordered]
        shares = [one.middle(lambda run: run.rate) / floor for _, one in ordered]
        spreads = [one.spread * share for (_, one), share in zip(ordered, shares, strict=True)]
        colours = ["#b5541c" if name.startswith("tts") else "#7d8794" for name in names]
        pane.barh(names, shares, xerr=spreads, color=colours)
        pane.axvline(1.0, color="black", linewidth=0.8)
        pane.set_title(f"({work.letter}) {work.told}", fontsize=8, wrap=True)
        pane.tick_params(labelsize=7)
        pane.set_xlabel("samples a second, as a share of the floor's", fontsize=7)
    figure.savefig(path, metadata={"Date": None})
