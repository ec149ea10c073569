"""Prints the results of a run that has just ended."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from tts.cli.console import say, show, written
from tts.report.facts import report_of_run
from tts.report.terminal import report_view
from tts.run import Run


def finish(place: Path, ended: str, hints: Sequence[str], *, as_json: bool) -> None:
    """Print the comparison of a run, what the session did, and the commands that lead on."""
    with Run.open(place) as run:
        report = report_of_run(run)
    if as_json:
        say(ended)
        sys.stdout.write(written(report, "json"))
        return
    led = [Text(f"{'next:' if i == 0 else '     '} {hint}", style="cyan") for i, hint in enumerate(hints)]
    show(Text(""), report_view(report), Text(ended, style="bold"), Text(""), *led)
