"""`tts replay`: what strategies are expected to score on recorded samples."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tts.cli.options import Json, Seed, Strategies

EXAMPLES = """\b
Examples:
  tts replay pool.jsonl -s single -s vote@9 -s short-3@9 -s pass@9
  tts replay pool.jsonl -s single -s rtv@2 --verdicts verdicts.jsonl --json
  tts replay pool.jsonl -s single -s vote@9 -s pass@9 --report pool.html

\b
A line of a pool is one sample: task_id, sample (a number), and any of answer, patch, correct, score,
length, output_tokens, cost_usd, seconds, group. A line of verdicts: task_id, shown, preferred, judge.
"""


class Same(StrEnum):
    """When two outputs are the same."""

    exact = "exact"
    text = "text"
    number = "number"
    math = "math"
    patch = "patch"


def replay(
    pool: Annotated[Path, typer.Argument(metavar="POOL.jsonl", help="Recorded samples, one per line.")],
    strategy: Strategies = None,
    verdicts: Annotated[
        Path | None,
        typer.Option(metavar="V.jsonl", help="Recorded verdicts, for strategies that ask a judge."),
    ] = None,
    seed: Seed = 0,
    draws: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Random subsets per task where no exact expectation can be had.", min=2
        ),
    ] = None,
    same: Annotated[Same, typer.Option(help="When two outputs are the same.")] = Same.exact,
    page: Annotated[
        Path | None, typer.Option("--report", metavar="FILE.html", help="Write the report as a page, too.")
    ] = None,
    as_json: Json = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Compare strategies on recorded samples.

    Figures are expectations over random subsets of the samples; nothing is run and nothing paid.
    """
    from tts.cli.reporting import deliver, told
    from tts.errors import UsageError
    from tts.replay import replay as replayed
    from tts.replay.recorded import read_pool
    from tts.report.facts import report_of_replay
    from tts.report.study import study_of_replay

    if not strategy:
        raise UsageError("no strategy was given: add one or more, such as -s single -s vote@9 -s pass@9")
    if as_json and as_markdown:
        raise UsageError("choose one of --json and --markdown")
    comparison = replayed(pool, strategy, verdicts=verdicts, seed=seed, draws=draws, same=same.value)
    how = "json" if as_json else "markdown" if as_markdown else "terminal"
    report = report_of_replay(comparison)
    study = study_of_replay(comparison, read_pool(pool, same=same.value))
    print(told(report, study, how), end="")
    if page is not None:
        deliver(report, study, "html", page, title=pool.stem)
