"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tts.errors import UsageError
from tts.types import Budget

MODELS = "Models"
"""The group of options that say how models are asked."""
TESTS = "Tests"
"""The group of options of selection by tests."""
LIMITS = "Limits"
"""The group of options that bound what a run may use."""


def _of(panel: str, metavar: str, told: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, metavar=metavar, help=told, rich_help_panel=panel, **more)


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
        help="A server other than the provider's own: of the role model, judge, summarizer or tester, else of"
        " all models of the provider named first. Repeat it for more.",
    ),
]
Temperature = Annotated[float | None, _of(MODELS, "T", "Of the agent's model; else its provider's default.")]
RequestOptions = Annotated[
    list[str] | None,
    _of(
        MODELS,
        "KEY=JSON",
        "Goes into the requests to the agent's model as it is: reasoning_effort=high. Repeatable.",
        "--option",
    ),
]
Templates = Annotated[
    Path | None, _of(MODELS, "DIR", "Templates in place of the built-in prompts.", "--prompts")
]
Prices = Annotated[
    list[str] | None,
    _of(
        MODELS,
        "[NAME=]IN,OUT[,CACHED[,WRITE]]",
        "Dollars per million tokens, of the agent's model or the model NAME. Repeatable.",
        "--price",
    ),
]
OutputCaps = Annotated[
    list[str] | None,
    _of(
        MODELS,
        "[ROLE=]N",
        "Most tokens of one answer, thinking included (16384), of the role model, judge, summarizer or "
        "tester, else of all models. Repeatable.",
        "--max-output-tokens",
    ),
]
Rpm = Annotated[int | None, _of(MODELS, "N", "Most requests a minute, of each model.", min=1)]
Tpm = Annotated[int | None, _of(MODELS, "N", "Most tokens a minute, of each model.", min=1)]
Concurrency = Annotated[int, _of(MODELS, "N", "Most requests at once, of each model.", min=1)]
Start = Annotated[int, _of(MODELS, "N", "Requests at once before a model has answered any.", min=1)]
TestWriter = Annotated[
    str,
    _of(TESTS, "NAME", "Who writes tests: a model's PROVIDER/NAME, or agent for the agent.", "--test-writer"),
]
TestFiles = Annotated[
    list[Path] | None,
    _of(TESTS, "FILE", "Tests of yours in Python that every attempt is run on. Repeatable.", "--tests"),
]
CaseSeconds = Annotated[
    float, _of(TESTS, "SECONDS", "Most time of one written or given test.", "--case-seconds", min=0.1)
]
NoSchema = Annotated[
    bool,
    typer.Option("--no-schema", help="For servers without response schemas.", rich_help_panel=MODELS),
]
MaxUsd = Annotated[float | None, _of(LIMITS, "USD", "Most dollars of the whole run.", "--max-cost", min=0)]
MaxTokens = Annotated[int | None, _of(LIMITS, "N", "Most tokens of the whole run.", min=0)]
MaxSeconds = Annotated[float | None, _of(LIMITS, "SECONDS", "Most seconds of work of the whole run.", min=0)]
MaxRollouts = Annotated[int | None, _of(LIMITS, "N", "Most rollouts of the whole run.", min=0)]
TaskMaxUsd = Annotated[
    float | None, _of(LIMITS, "USD", "Most dollars of each strategy on each task.", "--task-max-cost", min=0)
]
RolloutUsd = Annotated[float | None, _of(LIMITS, "USD", "Most dollars of one attempt.", min=0)]
RolloutTokens = Annotated[int | None, _of(LIMITS, "N", "Most tokens of one attempt.", min=0)]
RolloutSeconds = Annotated[float | None, _of(LIMITS, "SECONDS", "Most seconds of one attempt.", min=0)]


def player(group: str, told: str) -> Any:
    """Return the option that names who plays a role; the shell completes what is registered in `group`."""

    def complete(incomplete: str) -> list[str]:
        from tts.registry import plugins

        return [name for name in plugins(group) if name.startswith(incomplete)]

    return typer.Option(metavar="NAME", autocompletion=complete, help=told)


def budget_of(
    usd: float | None, tokens: int | None = None, seconds: float | None = None, rollouts: int | None = None
) -> Budget:
    """Return the budget that a command line sets.

    Raises:
        UsageError: a limit is no number of at least zero.
    """
    try:
        return Budget(usd, tokens, seconds, rollouts)
    except ValueError as error:
        raise UsageError(str(error)) from None
