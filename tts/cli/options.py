"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Strategies = Annotated[
    list[str] | None,
    typer.Option(
        "--strategy",
        "-s",
        metavar="TEXT",
        help="A preset (rtv@6), stages ('sample(6) | rtv()') or an estimator (pass@6). Repeat it for more.",
    ),
]
Seed = Annotated[int, typer.Option(metavar="N", help="Seed of everything that is drawn.", min=0)]
Workers = Annotated[int, typer.Option(metavar="N", help="Rollouts at once.", min=1)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]
Grace = Annotated[
    float,
    typer.Option(metavar="SECONDS", help="How long the first Ctrl-C lets what is under way go on.", min=0),
]
RunPlace = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run; it may be going on.")]
