"""Reads a run again and again, and draws where it stands."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tts.cli.console import console, show
from tts.report import text
from tts.report.facts import STATUSES, bill_of
from tts.run import Run

BAR = 32


def follow(place: Path, *, once: bool, interval: float) -> None:
    """Draw a run until all is chosen; once only where stdout is no terminal."""
    import sys

    if once or not sys.stdout.isatty():
        show(standing(place)[0])
        return
    with Live(standing(place)[0], console=console(sys.stdout), auto_refresh=False) as live:
        while True:
            view, over = standing(place)
            live.update(view, refresh=True)
            if over:
                return
            time.sleep(interval)


def standing(place: Path) -> tuple[RenderableType, bool]:
    """Return where a run stands, and whether every strategy has chosen on every task.

    Raises:
        StoreError: there is no run.
    """
    with Run.open(place) as run:
        n_tasks = sum(1 for _ in run.tasks())
        names = run.config.strategies
        chosen = Counter(choice.strategy for choice in run.current_choices())
        bill = bill_of(run)
    table = Table(box=None, pad_edge=False)
    for column in ("strategy", "tasks", ""):
        table.add_column(column)
    for name in names:
        bar = ProgressBar(total=max(1, n_tasks), completed=chosen[name], width=BAR)
        table.add_row(text.line(name, 48), f"{chosen[name]:,}/{n_tasks:,}", bar)
    counts = ", ".join(f"{n:,} {status}" for status in STATUSES if (n := bill.rollouts.get(status)))
    told = [f"attempts: {counts or 'none yet'}", f"votes: {bill.verdicts:,}", f"grades: {bill.grades:,}"]
    told.append(f"{text.usd(bill.usd)}, {text.plural(bill.tokens, 'token')}")
    over = bool(names) and n_tasks > 0 and all(chosen[name] >= n_tasks for name in names)
    return Group(
        table, Text(" · ".join(told)), Text("all is chosen" if over else "going on, or stopped")
    ), over
