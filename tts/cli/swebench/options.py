"""The options of `tts swebench`, most of them with the names that mini-swe-agent gives them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

TASKS = "Instances"
AGENT = "Agent"
WHERE = "Where it runs"


class EnvironmentClass(StrEnum):
    """Where mini-swe-agent's commands run."""

    docker = "docker"
    bubblewrap = "bubblewrap"
    local = "local"


class Harness(StrEnum):
    """Who grades."""

    docker = "docker"
    local = "local"


def _of(panel: str, metavar: str, told: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, metavar=metavar, help=told, rich_help_panel=panel, **more)


Subset = Annotated[
    str | None,
    _of(
        TASKS,
        "NAME|PATH",
        "lite (default), verified, full, multimodal, multilingual, smith or rebench, or a file: json, jsonl "
        "or parquet. A run remembers it.",
    ),
]
Split = Annotated[str | None, _of(TASKS, "NAME", "dev (default), test or train. A run remembers it.")]
Slice = Annotated[str | None, _of(TASKS, "A:B", "The instances from A to before B: 0:50.", "--slice")]
Filter = Annotated[str | None, _of(TASKS, "REGEX", "Instances whose id begins like this.", "--filter")]
Shuffle = Annotated[
    bool | None,
    typer.Option("--shuffle/--no-shuffle", help="Shuffle before slicing.", rich_help_panel=TASKS),
]
Repos = Annotated[
    Path | None,
    _of(TASKS, "DIR", "Clones of the repositories, as DIR/OWNER__NAME or DIR/NAME, in place of GitHub."),
]
Name = Annotated[str, _of(AGENT, "PROVIDER/NAME", "The model: agent, summarizer and judge.", "-m", "--model")]
Configs = Annotated[
    list[str] | None,
    _of(
        AGENT,
        "SPEC",
        "mini-swe-agent's configuration: a file, a built-in's name, or KEY=VALUE. Repeatable; without a "
        "file its own swebench.yaml comes first.",
        "-c",
        "--config",
    ),
]
AgentCommand = Annotated[
    str,
    _of(AGENT, "CMD", "A program that edits the working directory: 'mytool {prompt_file}'.", "--agent-cmd"),
]
Attempts = Annotated[
    int | None,
    _of(AGENT, "N", "Rollouts of a strategy that names no number: rtv means rtv@N. Alone: rtv@N.", min=1),
]
StepLimit = Annotated[int | None, _of(AGENT, "N", "Most steps of one attempt of mini-swe-agent.", min=0)]
UsdLimit = Annotated[
    float | None,
    _of(AGENT, "USD", "mini-swe-agent's own limit: stops an attempt after it.", "--cost-limit", min=0),
]
Redo = Annotated[
    bool,
    typer.Option(
        "--redo-existing",
        help="Refused: nothing paid for is thrown away. Says how to get fresh attempts.",
        rich_help_panel=TASKS,
    ),
]
Environment = Annotated[
    EnvironmentClass | None,
    typer.Option(
        "--environment-class",
        help="Where mini-swe-agent's commands run: docker where an engine answers, else bubblewrap; local is "
        "no sandbox.",
        rich_help_panel=WHERE,
    ),
]
SandboxName = Annotated[str, _of(WHERE, "NAME", "bwrap, or none (no sandbox).", "--sandbox")]
Mounts = Annotated[
    list[str] | None,
    _of(WHERE, "PATH[:TARGET][:rw]", "A folder or file to show in the sandbox. Repeatable.", "--mount"),
]
PassEnv = Annotated[
    list[str] | None,
    _of(WHERE, "NAME", "A variable of this environment to hand in. Repeatable.", "--pass-env"),
]
AgentVersion = Annotated[
    str,
    _of(AGENT, "TEXT", "What --agent-cmd does not show: its release, model, settings.", "--agent-version"),
]
AgentNetwork = Annotated[
    bool | None,
    typer.Option(
        "--agent-network/--no-agent-network",
        help="Whether the program of --agent-cmd may reach the network; it may, since it has a model to ask.",
        show_default=False,
        rich_help_panel=WHERE,
    ),
]
CommandNetwork = Annotated[
    bool,
    typer.Option(
        "--command-network",
        help="Let the commands that mini-swe-agent runs reach the network.",
        rich_help_panel=WHERE,
    ),
]
