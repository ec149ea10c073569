"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

MODELS = "Models"
"""The group of options that say how models are asked."""

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
BaseUrls = Annotated[
    list[str] | None,
    typer.Option(
        "--base-url",
        metavar="[ROLE=]URL",
        rich_help_panel=MODELS,
        help="A server other than the provider's own: of the role model, judge or summarizer, else of all"
        " models of the provider named first. Repeat it for more.",
    ),
]


def player(group: str, told: str) -> Any:
    """Return the option that names who plays a role; the shell completes what is registered in `group`."""

    def complete(incomplete: str) -> list[str]:
        from tts.registry import plugins

        return [name for name in plugins(group) if name.startswith(incomplete)]

    return typer.Option(metavar="NAME", autocompletion=complete, help=told)
