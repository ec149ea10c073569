"""`tts plan`: which strategy and size to buy, from a pilot pool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tts.cli.options import Json, Seed
from tts.cli.replay import Same

EXAMPLES = """\b
Examples:
  tts plan pilot.jsonl --max-cost 200 --tasks 500
  tts plan pilot.jsonl --max-cost 0.05 --tasks 1 --json

\b
The pool's lines need task_id, sample, answer, correct and cost_usd; length or score where there are any.
"""


def plan(
    pool: Annotated[Path, typer.Argument(metavar="POOL.jsonl", help="Recorded samples of a pilot.")],
    max_cost: Annotated[
        float, typer.Option("--max-cost", metavar="USD", help="What there is to spend.", min=0)
    ],
    tasks: Annotated[
        int | None,
        typer.Option(
            "--tasks", metavar="N", help="How many tasks it is for; else as many as in the pool.", min=1
        ),
    ] = None,
    same: Annotated[Same, typer.Option(help="When two outputs are the same.")] = Same.exact,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Say which strategy and size to buy for a sum of money.

    Compares what fits the sum on a pilot's recorded samples, and checks the choice on the half of the tasks
    that it was not made on.
    """
    from tts.cli.console import as_json as json_text
    from tts.cli.console import show
    from tts.cli.planned import document, view
    from tts.planning import plan as planned
    from tts.replay.recorded import read_pool

    samples = read_pool(pool, same=same.value)
    n_tasks = tasks or len(samples)
    found = planned(samples, max_usd=max_cost, n_tasks=n_tasks, seed=seed)
    if as_json:
        print(json_text(document(found, n_tasks)), end="")
    else:
        show(*view(found, n_tasks))
