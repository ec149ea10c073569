"""`tts export`: a run's attempts in the formats of others."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tts.cli.options import Json, RunPlace

EXAMPLES = """\b
Examples:
  tts export runs/first --format atif -o out                    every attempt, one file each
  tts export runs/first --format mini --winners -s rtv@8 -o out  what one strategy chose
  tts export runs/first --format preds -o preds                 one file of predictions per strategy
  tts export runs/first --format leaderboard -s rtv@8 --split verified --name my-agent -o experiments
  tts export runs/first --format pool -o pools/first            to replay, or to run strategies on again

\b
Grades are never written. Attempts that a fault of the machine cut are left out.
"""


class Format(StrEnum):
    """What a run is written as."""

    atif = "atif"
    mini = "mini"
    preds = "preds"
    leaderboard = "leaderboard"
    pool = "pool"


def export(
    place: RunPlace,
    how: Annotated[Format, typer.Option("--format", "-f", help="What it is written as.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where to.")],
    strategy: Annotated[
        str, typer.Option("--strategy", "-s", metavar="NAME", help="Whose choices; else of every strategy.")
    ] = "",
    winners: Annotated[
        bool, typer.Option("--winners", help="Only the attempts that were chosen, not every one.")
    ] = False,
    split: Annotated[str, typer.Option(metavar="SPLIT", help="Of a leaderboard folder.")] = "verified",
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Of the system, in predictions and a leaderboard folder.")
    ] = "",
    date: Annotated[str, typer.Option(metavar="YYYYMMDD", help="Of a leaderboard folder; else today.")] = "",
    as_json: Json = False,
) -> None:
    """Write a run's attempts or choices in a format of others.

    Trajectories (atif, mini), predictions for the official harness (preds), a folder for the SWE-bench
    leaderboard, or a pool. It may be going on.
    """
    from tts.cli import console
    from tts.cli.exporting import Wish, write
    from tts.cli.importing import sentences
    from tts.run import Run

    with Run.open(place) as run:
        wish = Wish(output, strategy=strategy, winners=winners, split=split, name=name, date=date)
        made = write(run, how.value, wish)
    if as_json:
        lost = [{"told": sentence, "times": n} for sentence, n in made.lost.items()]
        print(console.as_json({"written": made.written, "lost": lost}), end="")
        return
    for line in (*made.told, *sentences(made.lost)):
        print(line)
