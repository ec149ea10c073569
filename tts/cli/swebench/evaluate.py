"""`tts swebench eval`: grades what a run has chosen, or a file of predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tts.cli import options as shared
from tts.cli.swebench import options as ours
from tts.errors import UsageError

EXAMPLES = """\b
Examples:
  tts swebench eval runs/verified                         the winners of every strategy, with Docker
  tts swebench eval runs/mine --harness local --recipes recipes.jsonl --repos clones
  tts swebench eval runs/verified --all -s pass@8         every rollout, for pass@k and the oracle
  tts swebench eval --predictions preds.json --subset verified --split test

\b
Without Docker an instance needs a recipe: how to install and test it. Grades are kept in the run, made once,
and tried again where the machine failed; `tts report` and `tts show` use them.
"""


def evaluate(
    place: Annotated[Path | None, typer.Argument(metavar="RUN", help="The folder of a run.")] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Grade this file of predictions (json or jsonl) in place of a run."
        ),
    ] = None,
    all_: Annotated[
        bool,
        typer.Option("--all", help="Grade every rollout, for pass@k and the oracle, not the winners only."),
    ] = False,
    estimator: Annotated[
        list[str] | None,
        typer.Option(
            "-s", "--strategy", metavar="NAME", help="An oracle to report with --all: pass@8. Repeatable."
        ),
    ] = None,
    harness: Annotated[
        ours.Harness | None,
        typer.Option(help="docker: the official harness (default where an engine answers); local: ours."),
    ] = None,
    grader: Annotated[
        str,
        typer.Option(metavar="MODULE:NAME", help="Grades (task, rollout), in place of a harness."),
    ] = "",
    recipes: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", help="How to install and test instances without Docker."),
    ] = None,
    repos: ours.Repos = None,
    subset: ours.Subset = None,
    split: ours.Split = None,
    sandbox: ours.SandboxName = "",
    environments: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where prepared environments are kept (~/.cache/tts/swebench)."),
    ] = None,
    test_network: Annotated[
        bool, typer.Option("--test-network", help="Let the tests reach the network.")
    ] = False,
    repeats: Annotated[
        int, typer.Option(metavar="N", help="Run the tests N times, for flaky ones.", min=1)
    ] = 1,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Most seconds of one run of the tests.", min=1)
    ] = None,
    memory: Annotated[
        int | None,
        typer.Option(
            metavar="GIB",
            help="Most memory of one instance's tests (8); the limits of processes and sizes follow it.",
            min=1,
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option("-w", "--workers", metavar="N", help="Instances graded at once.", min=1)
    ] = 4,
    grace: shared.Grace = 30,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="With --predictions: the report's file."),
    ] = None,
    as_json: shared.Json = False,
) -> None:
    """Grade what strategies chose.

    With Docker the official harness does it, without a local grader in a sandbox; never before selection.
    """
    from tts.cli.swebench.evaluating import Grading, evaluate_predictions, evaluate_run

    if (place is None) == (predictions is None):
        raise UsageError(
            "what is to be graded? give the folder of a run, or --predictions FILE, and not both"
        )
    grading = Grading(
        harness=harness.value if harness else "",
        named=grader,
        recipes=recipes,
        repos=repos,
        sandbox=sandbox,
        network=test_network,
        repeats=repeats,
        timeout=timeout,
        memory=memory,
        workers=workers,
        environments=environments,
    )
    if place is not None:
        if output is not None:
            raise UsageError(
                "-o is for --predictions: the reports of a run go into its folder, eval/STRATEGY.json"
            )
        named = {"subset": subset, "split": split}
        evaluate_run(
            place, grading, named, all_=all_, estimators=estimator or (), grace_seconds=grace, as_json=as_json
        )
    else:
        assert predictions is not None
        if all_ or estimator:
            raise UsageError("--all and -s are for a run: a file of predictions holds one patch an instance")
        named = {"subset": subset, "split": split}
        evaluate_predictions(predictions, grading, named, output=output, as_json=as_json)
