"""Where output goes: results to stdout, everything else to stderr."""

from __future__ import annotations

import io
import json
import sys
from shutil import get_terminal_size
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.text import Text

from tts.report.facts import Report
from tts.report.json import document
from tts.report.markdown import markdown
from tts.report.terminal import report_view

WIDTH = 100
"""Columns where the output is no terminal."""


def console(stream: TextIO) -> Console:
    """Return a console on a stream that takes no markup and honours NO_COLOR and COLUMNS."""
    width = get_terminal_size((WIDTH, 24)).columns
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


def rendered(*parts: RenderableType, plain: bool = False) -> str:
    """Return parts as text, coloured where stdout shows colours unless `plain`.

    Written as one text, so that a reader who has left is an ordinary error.
    """
    out = console(io.StringIO() if plain else sys.stdout)
    with out.capture() as captured:
        for part in parts:
            out.print(part)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().split("\n")[:-1])


def show(*parts: RenderableType) -> None:
    """Print results."""
    sys.stdout.write(rendered(*parts))


def say(told: str) -> None:
    """Print a line that is no result."""
    console(sys.stderr).print(Text(told), soft_wrap=True)


def as_json(value: dict[str, Any]) -> str:
    """Return a JSON document as text."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def written(report: Report, how: str, *, plain: bool = False) -> str:
    """Return a report as `terminal`, `markdown` or `json` text."""
    if how == "json":
        return as_json(document(report))
    return markdown(report) if how == "markdown" else rendered(report_view(report), plain=plain)
