"""Shows a board on stderr: live on a terminal, else a line for each attempt that ends."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tts.cli.console import console, say
from tts.cli.progress import Meter, Tally
from tts.cli.solving.board import Board, named
from tts.events import Event, Noticed
from tts.report import text
from tts.types import Rollout

MOST_ROWS = 32
MOST_MATCHES = 8


def shown_on(board: Board, tally: Tally) -> Meter:
    """Return a listener that shows the board and the tally while it is open."""
    plain = not sys.stderr.isatty() or os.environ.get("TERM") == "dumb"
    return BoardLines(board, tally) if plain else BoardView(board, tally)


def tests_of(rollout: Rollout) -> str:
    """Return how the harness's last run of the tests ended: `pass`, `fail`, or "" where there was none."""
    passed = rollout.signals.get("tests_pass")
    return "" if passed is None else "pass" if passed else "fail"


def attempt_line(rollout: Rollout) -> str:
    """Return an attempt that has ended in one line."""
    spent = rollout.usage
    told = [rollout.status if rollout.patch else f"{rollout.status}, no change"]
    told += [text.plural(rollout.n_steps, "step"), text.seconds(rollout.seconds)]
    told += [text.usd(spent.usd)] * bool(spent.known_usd)
    told += [f"tests {tests_of(rollout)}"] * bool(tests_of(rollout))
    told += [text.line(rollout.error, 160)] * bool(rollout.error)
    return f"attempt {named(rollout.index, rollout.iteration)}: {', '.join(told)}"


class BoardLines:
    """Prints a line for each attempt that ends."""

    def __init__(self, board: Board, tally: Tally) -> None:
        self._board, self._tally = board, tally
        self._told: set[str] = set()

    def __enter__(self) -> BoardLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tell()

    def __call__(self, event: Event) -> None:
        self._tally.hear(event)
        if isinstance(event, Noticed):
            say(f"note: {text.line(event.message)}")
        self._tell()

    def _tell(self) -> None:
        for rollout in self._board.ended:
            if rollout.key not in self._told:
                self._told.add(rollout.key)
                say(attempt_line(rollout))


class BoardView:
    """Draws the attempts and the votes, and goes away when the run has ended."""

    def __init__(self, board: Board, tally: Tally) -> None:
        self._board, self._tally = board, tally
        self._live = Live(
            get_renderable=self._drawn,
            console=console(sys.stderr),
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> BoardView:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        self._tally.hear(event)
        if isinstance(event, Noticed):
            self._live.console.print(Text(f"note: {text.line(event.message)}"))

    def _drawn(self) -> RenderableType:
        return drawn(self._board, self._tally)


def drawn(board: Board, tally: Tally) -> RenderableType:
    """Return the attempts, the votes by round, and the tally."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=True, header_style="dim")
    for head in ("attempt", "", "steps", "time", "cost", "tests"):
        table.add_column(head, justify="right" if head in ("steps", "time", "cost") else "left")
    for rollout in board.ended[-MOST_ROWS:]:
        table.add_row(*_ended(rollout))
    for name, running in sorted(board.running.items())[:MOST_ROWS]:
        took = text.seconds(time.monotonic() - running.started)
        table.add_row(named(*name), Text("running", style="yellow"), f"{running.steps}", took, "", "")
    matches = [Text(f"round {m.round}  {_votes(m.votes)}") for m in board.matches[-MOST_MATCHES:]]
    return Group(table, *matches, Text(tally.line(), style="dim"))


def _ended(rollout: Rollout) -> list[str | Text]:
    status = rollout.status if rollout.patch else f"{rollout.status}, no change"
    tests = Text(tests_of(rollout), style="green" if tests_of(rollout) == "pass" else "red")
    cost = text.usd(rollout.usage.usd) if rollout.usage.known_usd else ""
    name = named(rollout.index, rollout.iteration)
    return [name, status, f"{rollout.n_steps}", text.seconds(rollout.seconds), cost, tests]


def _votes(votes: tuple[tuple[str, int], ...]) -> str:
    return "  ".join(f"{name} {n}" for name, n in votes)
