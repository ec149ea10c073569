"""`tts demo`: the embedded agent on its bugs, several strategies, one comparison."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from tts.cli.options import Grace, Json, Seed, Strategies, Workers

if TYPE_CHECKING:
    from tts.demo import Harness
    from tts.experiment import Experiment
    from tts.types import Task

EXAMPLES = """\b
Examples:
  tts demo                               six rollouts an iteration, all bugs, about a minute
  tts demo --n 4 --limit 3               a first look
  tts demo -s single -s 'sample(6) | rtv(votes=4)' -o runs/mine
  tts demo --json > demo.json
"""

INTRODUCTION = "{n} bugs in small Python packages, at most {most} rollouts, into {place}."
WARNING = "Agent, edits and tests run here without a sandbox: all of it is the demo's own code."


def demo(
    place: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The run's folder; the same one resumes.")
    ] = Path("runs/demo"),
    seed: Seed = 0,
    n: Annotated[int, typer.Option("--n", metavar="N", help="Rollouts of one iteration.", min=1)] = 6,
    strategy: Strategies = None,
    workers: Workers = 8,
    limit: Annotated[int | None, typer.Option(metavar="TASKS", help="Only the first tasks.", min=1)] = None,
    grace: Grace = 30,
    as_json: Json = False,
) -> None:
    """Compare strategies on real bugs, no key needed.

    The embedded agent attempts each bug many times; strategies select and refine. The network is not used.
    """
    import anyio

    from tts.cli.console import say
    from tts.cli.play import Played, ended_line, most, play, resume_line
    from tts.cli.results import finish
    from tts.demo import tasks, warm_tests

    names = strategy or presets(n)
    chosen = tasks(place / "repositories")[:limit]

    async def session() -> Played:
        async with warm_tests() as harness:
            experiment = _experiment(harness, chosen, names, seed=seed, workers=workers)
            ceiling = await most(experiment)
            say(INTRODUCTION.format(n=len(chosen), most=ceiling.rollouts, place=place))
            say(WARNING)
            return await play(experiment, place, grace_seconds=grace, n_rollouts=ceiling.rollouts)

    played = anyio.run(session)
    if played.interrupted:
        say(resume_line())
        raise typer.Exit(130)
    first = quote(chosen[0].id)
    hints = [f"tts show {quote(str(place))} {first}", f"tts report {quote(str(place))} --format markdown"]
    finish(place, ended_line(played, place), hints, as_json=as_json)


def presets(n: int) -> list[str]:
    """Return the demo's strategies for `n` rollouts an iteration; the last two are oracles."""
    short = f"short-{min(3, n)}@{n}"
    return [
        "single",
        f"vote@{n}",
        short,
        f"rtv@{n}",
        f"rtv@{2 * n}",
        f"pdr-rtv@{n}",
        f"pass@{n}",
        f"pass@{2 * n}",
    ]


def _experiment(
    harness: Harness, tasks: list[Task], strategies: list[str], *, seed: int, workers: int
) -> Experiment:
    from tts.demo import HiddenTests, RepairAgent, truths
    from tts.experiment import Experiment
    from tts.roles import judge_of, summarizer_of
    from tts.workspaces.git import GitWorkspaces

    workspaces = GitWorkspaces()
    return Experiment(
        tasks=tasks,
        strategies=strategies,
        agent=RepairAgent(harness),
        summarizer=summarizer_of("extractive"),
        judge=judge_of("evidence"),
        grader=HiddenTests(truths(), harness, workspaces),
        workspaces=workspaces,
        seed=seed,
        workers=workers,
    )
