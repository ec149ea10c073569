"""`tts watch`: a run as it goes, read from its folder."""

from __future__ import annotations

from typing import Annotated

import typer

from tts.cli.options import RunPlace

EXAMPLES = """\b
Examples:
  tts watch runs/demo            until every strategy has chosen on every task, or Ctrl-C
  tts watch runs/demo --once     as it stands now
"""


def watch(
    place: RunPlace,
    once: Annotated[bool, typer.Option("--once", help="Show it as it stands, and end.")] = False,
    interval: Annotated[
        float, typer.Option(metavar="SECONDS", help="How often it is read.", min=0.1, max=3600)
    ] = 1.0,
) -> None:
    """Show a run as it goes: what is done and under way, what it cost, and what was chosen.

    Only reads; the run may be in another process, or over.
    """
    from tts.cli.watching import follow

    follow(place, once=once, interval=interval)
