"""`tts show`: the tasks of a run, or how a strategy came to its choice on one of them."""

from __future__ import annotations

from typing import Annotated

import typer

from tts.cli.options import RunPlace

EXAMPLES = """\b
Examples:
  tts show runs/demo                     the tasks, and the outcome of every strategy
  tts show runs/demo inventory-2         one task; the beginning of its name is enough
  tts show runs/demo inventory-2 --strategy rtv@6 --steps 10
"""


def show(
    place: RunPlace,
    task: Annotated[
        str | None, typer.Argument(metavar="[TASK]", help="A task, or the beginning of its name.")
    ] = None,
    strategy: Annotated[
        str,
        typer.Option(
            "--strategy", "-s", metavar="NAME", help="Whose choice to tell; else the longest story."
        ),
    ] = "",
    steps: Annotated[
        int, typer.Option(metavar="N", help="So many last steps of the winner's trajectory too.", min=0)
    ] = 0,
) -> None:
    """Show the tasks of a run, or one in full.

    In full: the bracket, the votes with their reasons, and the winner's diff, grade and tests.
    """
    from tts.cli import console
    from tts.report.facts import find_task
    from tts.report.story import story_view
    from tts.report.task import story_of
    from tts.report.terminal import task_list_view
    from tts.run import Run

    with Run.open(place) as run:
        if task is None:
            console.show(task_list_view(run))
        else:
            found = find_task(run, task)
            console.show(story_view(story_of(run, found, strategy=strategy, steps=steps)))
