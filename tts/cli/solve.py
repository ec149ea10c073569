"""`tts solve`: several attempts at a task on your own repository, and the best of them as a patch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tts.cli import options as shared
from tts.errors import UsageError

EXAMPLES = """\b
Examples:
  tts solve "Fix issue 12: --since drops a day" --agent-cmd 'mytool {prompt_file}' --test-cmd 'pytest -q'
  tts solve @task.md --agent-cmd 'mytool {prompt_file}' -s rtv@8 --test-cmd 'make check' --apply
  tts solve "…" -m openai/gpt-5 --attempts 8 --rollout-usd 1 --max-cost 10 --branch fix/since
  tts solve "…" --agent-cmd ./agent.sh --pass-env MY_API_KEY --mount ~/.local/share/mytool --dry-run

\b
Each attempt works in a clone of the base commit, in a sandbox. With --test-cmd the tests are run on every
patch, with the tests as they were at the base, and decide where no model judges. The same command resumes.
The exit code is 0 with a winner (put where --apply or --branch say), 1 without, 2 for bad input, 130 after
Ctrl-C.
"""

AGENT, TESTS, WHERE, AFTER = "Agent", "Tests", "Where it runs", "What becomes of the winner"


def _of(panel: str, metavar: str, told: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, metavar=metavar, help=told, rich_help_panel=panel, **more)


def _flag(panel: str, told: str, *names: str) -> Any:
    return typer.Option(*names, help=told, rich_help_panel=panel)


def solve(
    prompt: Annotated[
        str, typer.Argument(metavar="[PROMPT]", help="The task; @FILE reads a file, - standard input.")
    ] = "",
    prompt_file: Annotated[Path | None, typer.Option(metavar="FILE", help="The task, from a file.")] = None,
    repo: Annotated[
        Path, typer.Option(metavar="DIR", help="The git repository; a folder inside it will do.")
    ] = Path("."),
    base: Annotated[str, typer.Option(metavar="REV", help="Where attempts start.")] = "HEAD",
    strategy: Annotated[
        str, typer.Option("--strategy", "-s", metavar="TEXT", help="How to choose (rtv@4).")
    ] = "",
    attempts: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Attempts of a strategy that names no number: rtv means rtv@N.", min=1
        ),
    ] = None,
    place: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="The run's folder, outside the working tree; else one per repository, base and task.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option("-w", "--workers", metavar="N", help="Attempts at once.", min=1)
    ] = 4,
    seed: shared.Seed = 0,
    grace: shared.Grace = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the most it can cost, and stop.")] = False,
    as_json: shared.Json = False,
    agent_cmd: Annotated[
        str, _of(AGENT, "CMD", "A program that edits the working directory: 'mytool {prompt_file}'.")
    ] = "",
    agent: Annotated[str, _of(AGENT, "NAME", "A registered agent, or module:attribute.")] = "",
    model: Annotated[
        str, _of(AGENT, "PROVIDER/NAME", "mini-swe-agent with this model.", "-m", "--model")
    ] = "",
    judge: Annotated[
        str, _of(AGENT, "NAME", "A judge, module:attribute or a model; else -m, else evidence.")
    ] = "",
    summarizer: Annotated[
        str, _of(AGENT, "NAME", "A summarizer, module:attribute or a model; else -m, else extractive.")
    ] = "",
    agent_version: Annotated[
        str, _of(AGENT, "TEXT", "What --agent-cmd does not show, such as its release: new ones start anew.")
    ] = "",
    seconds: Annotated[float | None, _of(AGENT, "SECONDS", "Most time of one attempt.", min=1)] = None,
    test_cmd: Annotated[
        str, _of(TESTS, "CMD", "Runs the repository's tests, in a shell at its top; 0 is a pass.")
    ] = "",
    test_files: Annotated[
        list[str] | None,
        _of(TESTS, "GLOB", "Files that are tests; else by their names. Repeatable.", "--test-files"),
    ] = None,
    test_seconds: Annotated[float, _of(TESTS, "SECONDS", "Most time of one run of the tests.", min=1)] = 600,
    test_network: Annotated[
        bool, _flag(TESTS, "Let the tests reach the network.", "--test-network/--no-test-network")
    ] = False,
    test_writer: shared.TestWriter = "",
    tests: shared.TestFiles = None,
    case_seconds: shared.CaseSeconds = 30.0,
    sandbox: Annotated[str, _of(WHERE, "NAME", "bwrap (default), or none: no sandbox.")] = "",
    mount: Annotated[
        list[str] | None,
        _of(WHERE, "PATH[:TARGET][:rw]", "A folder or file to show in the sandbox. Repeatable."),
    ] = None,
    pass_env: Annotated[
        list[str] | None,
        _of(WHERE, "NAME", "A variable to hand to the agent; never to the tests. Repeatable."),
    ] = None,
    agent_network: Annotated[
        bool | None,
        _flag(
            WHERE,
            "Whether the program of --agent-cmd may reach the network; it may, since it has a model to ask.",
            "--agent-network/--no-agent-network",
        ),
    ] = None,
    command_network: Annotated[
        bool,
        _flag(WHERE, "Let the commands that mini-swe-agent runs reach the network.", "--command-network"),
    ] = False,
    apply: Annotated[bool, _flag(AFTER, "Put it on the working tree, or nothing of it.", "--apply")] = False,
    branch: Annotated[str, _of(AFTER, "NAME", "Commit it on a new branch from the base.")] = "",
    patch: Annotated[Path | None, _of(AFTER, "FILE", "Write it to a file.")] = None,
    base_url: shared.BaseUrls = None,
    price: shared.Prices = None,
    max_output_tokens: shared.OutputCaps = None,
    no_schema: shared.NoSchema = False,
    max_cost: shared.MaxUsd = None,
    rollout_usd: shared.RolloutUsd = None,
) -> None:
    """Take the best of several attempts at a task on your repository.

    Attempts run in parallel with any agent; the repository's tests, a judge or both say which one wins.
    """
    from tts.cli.models import voices_of
    from tts.cli.solving.cast import Players
    from tts.cli.solving.request import Request, prompt_of, strategy_named, where_of
    from tts.cli.solving.session import dry, execute
    from tts.cli.testing import Testing
    from tts.types import Budget

    players = Players(
        command=agent_cmd,
        agent=agent,
        model=model,
        judge=judge,
        summarizer=summarizer,
        version=agent_version,
        seconds=seconds,
        bound=Budget(usd=rollout_usd),
        tests=test_cmd,
        test_files=tuple(test_files or ()),
        test_seconds=test_seconds,
        test_network=test_network,
        testing=Testing(writer=test_writer, files=tuple(tests or ()), seconds=case_seconds),
        sandbox=sandbox,
        mounts=tuple(mount or ()),
        variables=tuple(pass_env or ()),
        agent_network=agent_network,
        command_network=command_network,
    )
    voices = voices_of(
        players.names,
        base_url=base_url or (),
        price=price or (),
        max_output_tokens=max_output_tokens or (),
        schemas=not no_schema,
    )
    where = where_of(repo, base, prompt_of(prompt, prompt_file), place)
    request = Request(
        where=where,
        strategy=strategy_named(strategy, attempts),
        players=players,
        voices=voices,
        budget=Budget(usd=max_cost),
        seed=seed,
        workers=workers,
        apply=apply,
        branch=branch,
        patch=patch,
    )
    if patch is not None and not patch.parent.is_dir():
        raise UsageError(f"--patch {patch}: there is no folder {patch.parent}")
    if dry_run:
        dry(request, as_json=as_json)
    else:
        execute(request, grace_seconds=grace, as_json=as_json)
