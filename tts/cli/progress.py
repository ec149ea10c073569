"""Shows how far a run has come, on stderr: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from tts.cli.console import console, say
from tts.events import Ended, Event, Noticed
from tts.report import text
from tts.types import RESULTS, Usage

LINE_SECONDS = 10.0
"""How far apart the lines are where there is no bar."""


@dataclass(slots=True)
class Tally:
    """Counts what a run does; `total` is the most rollouts that it can come to, `stored` those it found."""

    total: int = 0
    stored: int = 0
    performed: int = 0
    kept: int = 0
    votes: int = 0
    grades: int = 0
    usage: Usage = Usage()
    notes: list[str] = field(default_factory=list[str])
    started: float = field(default_factory=time.monotonic)

    def hear(self, event: Event) -> None:
        """Count an event."""
        if isinstance(event, Ended):
            self.performed += event.kind == "rollout"
            self.kept += event.kind == "rollout" and event.status in RESULTS
            self.votes += event.kind == "verdict"
            self.grades += event.kind == "grade"
            self.usage = self.usage + event.usage
        elif isinstance(event, Noticed):
            self.notes.append(event.message)

    @property
    def done(self) -> int:
        """Rollouts that are there, never more than `total`."""
        return min(self.stored + self.performed, self.total)

    @property
    def left_seconds(self) -> float | None:
        """The time left at the pace so far, None before there is a pace."""
        if not self.performed:
            return None
        pace = (time.monotonic() - self.started) / self.performed
        return pace * (self.total - self.done)

    def line(self) -> str:
        """Return the state in one line."""
        dollars = text.usd(self.usage.known_usd) + "+" * bool(self.usage.unpriced_calls)
        parts = [f"{self.done:,}/{self.total:,} rollouts", text.plural(self.votes, "vote"), dollars]
        parts += [text.retries(self.usage.retries)] * bool(self.usage.retries)
        parts += [text.plural(self.grades, "grade")] * bool(self.grades and self.done >= self.total)
        left = self.left_seconds
        known = [] if not left else [f"{left:.0f} s" if left < 120 else text.seconds(left)]
        return " · ".join([*parts, *(f"about {time_left} left" for time_left in known)])


class Meter(Protocol):
    """A listener that shows a tally while it is open."""

    def __enter__(self) -> Meter: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def __call__(self, event: Event) -> None: ...


def meter(tally: Tally) -> Meter:
    """Return a bar where stderr is a terminal, else a log of lines."""
    plain = not sys.stderr.isatty() or os.environ.get("TERM") == "dumb"
    return LineMeter(tally) if plain else BarMeter(tally)


class LineMeter:
    """Prints a line at most every `LINE_SECONDS`."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._last = time.monotonic()

    def __enter__(self) -> LineMeter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def __call__(self, event: Event) -> None:
        self._tally.hear(event)
        if isinstance(event, Noticed):
            say(f"note: {text.line(event.message)}")
        now = time.monotonic()
        if now - self._last >= LINE_SECONDS:
            self._last = now
            say(self._tally.line())


class BarMeter:
    """Draws a bar that goes away when the run has ended."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._bar = Progress(
            BarColumn(bar_width=30),
            TextColumn("{task.description}", markup=False),
            console=console(sys.stderr),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task(tally.line(), total=tally.total, completed=tally.done)

    def __enter__(self) -> BarMeter:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, event: Event) -> None:
        self._tally.hear(event)
        if isinstance(event, Noticed):
            self._bar.console.print(Text(f"note: {text.line(event.message)}"))
        self._bar.update(self._task, completed=self._tally.done, description=self._tally.line())
