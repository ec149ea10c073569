"""Makes an experiment of a request for one task, runs it, and does with the winner what was asked."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import anyio
import typer

from tts.agents.command.template import Template
from tts.agents.tested import Watched
from tts.cli.console import as_json as json_text
from tts.cli.console import say, show
from tts.cli.play import Played, can_cost, ceiling_json, ceiling_line, ended_line, most, play, resume_line
from tts.cli.solving.board import Board, Shown
from tts.cli.solving.cast import tell_how
from tts.cli.solving.live import shown_on
from tts.cli.solving.request import Request, tell_uncommitted
from tts.cli.solving.told import Landed, Outcome, document, outcome_of, view
from tts.errors import UsageError
from tts.experiment import Experiment
from tts.report import text
from tts.run import Run
from tts.workspaces.git import GitWorkspaces
from tts.workspaces.landing import branch, check_branch, land
from tts.workspaces.patches import Unlanded, check_whole, is_program

HISTORY = 100
"""How many commits a clone holds: enough for an agent to look back."""

FLAGS = {"usd": "--rollout-usd"}
"""What makes known how much an attempt can cost."""


def experiment_of(request: Request, board: Board) -> Experiment:
    """Return the experiment.

    Raises:
        UsageError: a role, a sandbox or a strategy cannot be had.
    """
    players, voices = request.players, request.voices
    _check_program(request)
    voices.check_prices((request.budget,), players.bound)
    workspaces = Watched(GitWorkspaces(request.where.place / "workspaces", depth=HISTORY))
    agent = players.agent_role(voices, workspaces)
    board.performer = agent.fingerprint
    return Experiment(
        tasks=[request.where.task],
        strategies=[request.strategy],
        agent=Shown(agent, board),
        judge=players.judge_role(voices),
        summarizer=players.summarizer_role(voices),
        tester=players.tester_role(voices, workspaces.inner, request.strategy),
        workspaces=workspaces,
        seed=request.seed,
        budget=request.budget,
        workers=request.workers,
        grade="none",
    )


def _check_program(request: Request) -> None:
    """Check that a program of the repository is there and can be run, before anything is spent."""
    if not request.players.command:
        return
    program, where = Template(request.players.command).program, request.where
    inside = "/" in program and not program.startswith("/") and "{" not in program
    if inside and not is_program(where.top, where.base, program):
        raise UsageError(
            f"--agent-cmd {program}: the repository has no such program at commit {where.base[:12]}; commit "
            "it with `chmod +x`, or give its full path and `--mount` it"
        )


def dry(request: Request, *, as_json: bool) -> None:
    """Print the most that the request can cost."""
    tell_uncommitted(request.where)
    found = anyio.run(most, experiment_of(request, Board()))
    if as_json:
        sys.stdout.write(json_text(ceiling_json(found, request.budget)))
    else:
        print(ceiling_line(found, request.budget, FLAGS))


def execute(request: Request, *, grace_seconds: float, as_json: bool) -> None:
    """Run the request, tell what came of it, and put the winner where it was asked for.

    Raises:
        Exit: 1 without a winner, or where it could not be put there; 130 after an interrupt.
    """
    if request.branch:
        check_branch(request.where.top, request.branch)
    tell_uncommitted(request.where)
    tell_how(request.players)
    played = _played(request, grace_seconds)
    if played.interrupted:
        say(resume_line())
        raise typer.Exit(130)
    say(ended_line(played, request.where.place))
    with Run.open(request.where.place) as run:
        outcome = outcome_of(run, request.where, request.strategy)
    landed = _landed(request, outcome)
    if as_json:
        sys.stdout.write(json_text(document(outcome, landed)))
    else:
        show(*view(outcome, landed))
    if outcome.winner is None or landed.error:
        raise typer.Exit(1)


def _played(request: Request, grace_seconds: float) -> Played:
    board = Board()
    experiment = experiment_of(request, board)
    place = request.where.place
    is_new = not (place / "run.db").exists()
    if not is_new:
        _check_same(request)

    async def session() -> Played:
        found = await most(experiment)
        if is_new:  # else all that is asked may be stored, and no model be needed
            await request.voices.check_ready()
        if can_cost(experiment):
            say(ceiling_line(found, request.budget, FLAGS))
        return await play(
            experiment,
            place,
            grace_seconds=grace_seconds,
            n_rollouts=found.rollouts,
            keeping=board.reading,
            shown=partial(shown_on, board),
        )

    return anyio.run(session)


def _check_same(request: Request) -> None:
    """Check that the folder's run is of this task, at this commit.

    Raises:
        UsageError: it is of another.
    """
    with Run.open(request.where.place) as run:
        if any(task.digest != request.where.task.digest for task in run.tasks()):
            raise UsageError(
                f"{text.line(str(request.where.place))} holds attempts at another task, or from another "
                "commit: give another -o"
            )


def _landed(request: Request, outcome: Outcome) -> Landed:
    """Put the winner's patch where it was asked for; the first thing that cannot be done ends it."""
    if outcome.winner is None:
        return Landed()
    where, patch = request.where, outcome.winner.patch or ""
    done = Landed()
    steps: list[tuple[bool, Callable[[], Landed]]] = [
        (True, lambda: _whole(patch, request, done)),
        (request.patch is not None, lambda: _to_file(request, patch, done)),
        (bool(request.branch), lambda: _to_branch(request, outcome, patch, done)),
        (request.apply, lambda: done.with_(applied=tuple(land(patch, where.top)))),
    ]
    for _, step in (pair for pair in steps if pair[0]):
        try:
            done = step()
        except (Unlanded, OSError) as error:
            return done.with_(error=text.line(str(error), 1_000))
    return done


def _whole(patch: str, request: Request, done: Landed) -> Landed:
    check_whole(patch, request.where.top, request.where.base)
    return done


def _to_file(request: Request, patch: str, done: Landed) -> Landed:
    if request.patch is None:
        raise UsageError("no file was named for the patch")
    request.patch.write_bytes(patch.encode("utf-8", "surrogateescape"))
    return done.with_(file=str(request.patch))


def _to_branch(request: Request, outcome: Outcome, patch: str, done: Landed) -> Landed:
    where = request.where
    subject = text.line(where.prompt.strip().splitlines()[0], 72)
    message = f"{subject}\n\n{outcome.title}, by tts solve."
    commit = branch(patch, where.top, where.base, request.branch, message)
    return done.with_(branch=request.branch, commit=commit)
