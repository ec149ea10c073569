"""The plots of a report, by matplotlib: as SVG in a page's own colours, or as files for a paper."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from tts.comparison import Comparison
from tts.report import text
from tts.report.study.study import Study

Figure: TypeAlias = Any
"""A figure of matplotlib, which is untyped here: it is loaded only where something is drawn."""


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a plot: text and axes, grid, and series."""

    ink: str
    grid: str
    series: tuple[str, ...]


PAGE = Palette("#101112", "#131415", ("#210101", "#210202", "#210303", "#210404", "#210505", "#210606"))
"""Stand for the colours of the page's theme, which `svg` puts in their place."""
PAPER = Palette("#1b1b1f", "#c9ccd3", ("#0b5fa5", "#b3541e", "#2f7d32", "#7b3fa0", "#a61e4d", "#5f6b7a"))

Accuracies: TypeAlias = Mapping[str, tuple[float, tuple[float, float] | None]]
"""Accuracy and its interval, by strategy."""

MARKERS = "osD^vPX*"
SCORE = "resolved or score, %"
CURRENCY = {
    "usd": "dollars per task",
    "tokens": "tokens per task",
    "critical_seconds": "seconds on the critical path",
    "calls": "model calls per task",
}


def plots(study: Study, accuracies: Accuracies, palette: Palette = PAGE) -> dict[str, Figure]:
    """Return the figures by name, those that there is something for."""
    made: dict[str, Figure | None] = {
        "cost": cost_plot(study, accuracies, palette),
        "growth": growth_plot(study, palette),
        "rounds": rounds_plot(study, palette),
        "passes": passes_plot(study, palette),
    }
    return {name: figure for name, figure in made.items() if figure is not None}


def accuracies_of(comparison: Comparison) -> Accuracies:
    """Return every strategy's accuracy and interval."""
    return {r.name: (r.accuracy, r.ci95) for r in comparison.strategies if r.accuracy is not None}


def cost_plot(study: Study, accuracies: Accuracies, palette: Palette) -> Figure | None:
    """Draw accuracy against cost, with intervals and the Pareto front."""
    if not study.front:
        return None
    figure, axis = _axes(7.2, 3.6, palette)
    for i, place in enumerate(study.front):
        _, interval = accuracies[place.name]
        low, high = interval or (place.accuracy, place.accuracy)
        half = [[100 * (place.accuracy - low)], [100 * (high - place.accuracy)]]
        colour = palette.series[i % len(palette.series)]
        axis.errorbar(
            place.cost,
            100 * place.accuracy,
            half,
            fmt=MARKERS[i % len(MARKERS)],
            color=colour,
            capsize=2,
            label=_label(place.name, 28),
        )
    best = sorted((p.cost, 100 * p.accuracy) for p in study.front if p.on_front)
    axis.plot(*zip(*best, strict=True), color=palette.ink, linewidth=0.8, linestyle="--", zorder=0)
    axis.set_xlabel(CURRENCY[study.currency])
    axis.set_ylabel(SCORE)
    _legend(axis, palette, outside=True)
    return figure


def growth_plot(study: Study, palette: Palette) -> Figure | None:
    """Draw accuracy against the number of attempts, with bands of 95 %."""
    if not study.growth:
        return None
    figure, axis = _axes(7.2, 3.6, palette)
    for i, curve in enumerate(study.growth):
        k = [step.k for step in curve.steps]
        value = [100 * step.accuracy for step in curve.steps]
        bands = [step.ci95 or (step.accuracy, step.accuracy) for step in curve.steps]
        colour, label = (
            palette.series[i % len(palette.series)],
            curve.form.format(k="k") + " (oracle)" * curve.oracle,
        )
        axis.plot(
            k,
            value,
            color=colour,
            marker="o",
            markersize=3.5,
            label=label,
            linestyle="--" if curve.oracle else "-",
        )
        axis.fill_between(
            k, [100 * b[0] for b in bands], [100 * b[1] for b in bands], color=colour, alpha=0.12, linewidth=0
        )
    axis.set_xscale("log", base=2)
    axis.set_xticks(sorted({step.k for curve in study.growth for step in curve.steps}))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.minorticks_off()
    axis.set_xlabel("attempts, k")
    axis.set_ylabel(SCORE)
    _legend(axis, palette)
    return figure


def rounds_plot(study: Study, palette: Palette) -> Figure | None:
    """Draw the judge's accuracy on mixed pairs by round."""
    found = study.judging.rounds if study.judging else ()
    if not found:
        return None
    figure, axis = _axes(7.2, 0.9 + 0.32 * len(found), palette)
    names = [_label(f"{r.strategy}, stage {r.stage}, round {r.number}", 60) for r in found]
    axis.barh(range(len(found)), [100 * r.accuracy for r in found], color=palette.series[0], height=0.6)
    axis.set_yticks(range(len(found)), names)
    axis.invert_yaxis()
    axis.axvline(50, color=palette.ink, linewidth=0.8, linestyle="--")
    axis.set_xlim(0, 100)
    axis.set_xlabel("votes for the right one of a mixed pair, %")
    return figure


def passes_plot(study: Study, palette: Palette) -> Figure | None:
    """Draw how many attempts per task are right, before and after refinement."""
    if not study.refinements:
        return None
    first = study.refinements[0]
    figure, axis = _axes(7.2, 3.0, palette)
    width = 0.8 / len(first.passes)
    for i, (iteration, counts) in enumerate(first.passes.items()):
        x = [n + (i - (len(first.passes) - 1) / 2) * width for n in counts]
        axis.bar(
            x,
            list(counts.values()),
            width,
            color=palette.series[i % len(palette.series)],
            label=f"iteration {iteration}",
        )
    axis.set_xlabel(f"right attempts per task, {_label(first.strategy, 40)}")
    axis.set_ylabel("tasks")
    axis.xaxis.get_major_locator().set_params(integer=True)
    _legend(axis, palette)
    return figure


def svg(figure: Figure, name: str, label: str) -> str:
    """Return a figure as an SVG element whose colours are the page's; ids are of this plot alone."""
    out = io.StringIO()
    with _style(name):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    body = out.getvalue()[out.getvalue().index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, count=1, flags=re.DOTALL)
    theme = {PAGE.ink: "--ink", PAGE.grid: "--line"} | {c: f"--c{i}" for i, c in enumerate(PAGE.series, 1)}
    for colour, variable in theme.items():
        body = body.replace(colour, f"var({variable})")
    return body.replace("<svg ", f'<svg role="img" aria-label="{escape(text.line(label, 300))}" ', 1)


def save(figure: Figure, path: Path) -> None:
    """Write a figure to a file: PNG, SVG or PDF by its name."""
    with _style(path.stem):
        figure.savefig(path, dpi=200, metadata={"Date": None} if path.suffix == ".svg" else {})


def _axes(width: float, height: float, palette: Palette) -> tuple[Figure, Any]:
    ink = ("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor")
    with _matplotlib().rc_context({"font.size": 9, **dict.fromkeys(ink, palette.ink)}):
        figure = _matplotlib("figure").Figure(figsize=(width, height), layout="constrained")
        axis = figure.add_subplot()
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    axis.grid(color=palette.grid, linewidth=0.6)
    axis.set_axisbelow(True)
    return figure, axis


def _legend(axis: Any, palette: Palette, *, outside: bool = False) -> None:
    where = {"loc": "center left", "bbox_to_anchor": (1.02, 0.5)} if outside else {}
    axis.legend(frameon=False, labelcolor=palette.ink, fontsize=9, **where)


def _label(name: str, size: int) -> str:
    """Return a name as matplotlib shows it literally: no formula, and no name that a legend leaves out."""
    shown = text.line(name, size).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def _style(name: str) -> Any:
    return _matplotlib().rc_context({"svg.hashsalt": f"tts-{name}", "svg.fonttype": "none"})


def _matplotlib(part: str = "") -> Any:
    """The library or a part of it, loaded where something is drawn."""
    return import_module(f"matplotlib.{part}" if part else "matplotlib")
