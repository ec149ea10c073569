"""Makes an experiment of a request for SWE-bench, and runs it."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import anyio
import typer

from tts.ceiling import Ceiling
from tts.cli.console import as_json as json_text
from tts.cli.console import say
from tts.cli.models import Voices
from tts.cli.play import Played, can_cost, ceiling_json, ceiling_line, ended_line, most, play, resume_line
from tts.cli.results import finish
from tts.cli.swebench.cast import MINI, UNSAFE, Players
from tts.cli.swebench.keeping import Predictions, Trajectories
from tts.cli.swebench.pools import check_selecting, check_size, pooled
from tts.cli.swebench.selection import Selection, remember
from tts.cli.where import Where
from tts.errors import UsageError
from tts.events import Event, Listener
from tts.experiment import FLAGS, Experiment, strategy_of
from tts.pipeline import needs
from tts.registry import NAME, estimator
from tts.report.text import plural
from tts.run import Run
from tts.store import Store
from tts.types import Budget, Task

WINDOW = 8
"""How many tasks are open at once; more where there are more workers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What the command line asked for. `repos` holds clones of repositories; None: they come from GitHub."""

    selection: Selection
    repos: Path | None
    strategies: tuple[str, ...]
    place: Path
    players: Players
    voices: Voices
    budget: Budget
    task_budget: Budget
    seed: int
    workers: int
    where: Where = Where()


def strategies_of(given: Sequence[str], attempts: int | None, place: Path) -> tuple[str, ...]:
    """Return the strategies to run.

    Without any: `rtv@N` for N attempts, `single` for one; else those of the run in `place`, else `single`.
    With `attempts`, a preset without a number gets it: `vote` becomes `vote@N`.

    Raises:
        UsageError: one is an estimator, which needs grades.
    """
    if not given:
        return _default(attempts, place)
    for text in given:
        if estimator(text) is not None and not text.startswith(("vote", "short")):
            raise UsageError(
                f"{text} needs grades, which come after the run: `tts swebench eval RUN --all -s {text}`"
            )
    return tuple(_numbered(text, attempts) for text in given)


def _default(attempts: int | None, place: Path) -> tuple[str, ...]:
    if attempts is not None:
        return (f"rtv@{attempts}",) if attempts > 1 else ("single",)
    if (place / "run.db").exists():
        with Run.open(place) as run:
            return run.config.strategies or ("single",)
    return ("single",)


def _numbered(text: str, attempts: int | None) -> str:
    match = NAME.fullmatch(text.strip())
    plain = match is not None and match["n"] is None and text.strip() != "single"
    return f"{text.strip()}@{attempts}" if plain and attempts is not None else text


def experiment_of(request: Request) -> Experiment:
    """Return the experiment. It has no grader: grades are made by another command.

    Raises:
        UsageError: an instance, a repository, a role, a sandbox or a strategy cannot be had.
    """
    players, voices = request.players, request.voices
    voices.check_prices((request.budget, request.task_budget), players.bound)
    needed = frozenset[str]().union(*(needs(strategy_of(text).run) for text in request.strategies))
    agent = players.agent_role(voices, request.place)
    tasks = tasks_of(request.selection, request.repos)
    if players.kind == "pool":
        check_selecting([text for text in request.strategies if estimator(text) is None])
        tasks = pooled(tasks, players.pool)
    return Experiment(
        tasks=tasks,
        strategies=request.strategies,
        agent=agent,
        judge=players.judge_role(voices, needed="judge" in needed),
        summarizer=players.summarizer_role(voices, needed="summarizer" in needed),
        workspaces=players.workspaces(request.place / "workspaces"),
        seed=request.seed,
        budget=request.budget,
        task_budget=request.task_budget,
        workers=request.workers,
        where=request.where.executors(),
        window=max(WINDOW, request.workers),
        grade="none",
    )


def tasks_of(selection: Selection, repos: Path | None) -> list[Task]:
    """Return the chosen instances as tasks, without the truth.

    Raises:
        UsageError: there are none, one cannot be read, or `repos` has no clone of its repository.
    """
    from tts.benches.swebench.instances import task_of

    rows = selection.rows()
    tasks = [task_of(row, repos) for row in rows]
    lacking = [row["repo"] for row, task in zip(rows, tasks, strict=True) if "://" in task.repo]
    if repos is not None and lacking:
        flat = lacking[0].replace("/", "__")
        raise UsageError(f"--repos {repos} has no clone of {lacking[0]}: make one at {repos / flat}")
    return tasks


async def reckoned(experiment: Experiment, request: Request) -> Ceiling:
    """Return the most that the experiment can cost.

    Raises:
        UsageError: it cannot run, or a pool has too few attempts for it.
    """
    found = await most(experiment)
    if request.players.kind == "pool":
        check_size(experiment.tasks, request.players.pool, found.rollouts // len(experiment.tasks))
    return found


def dry(request: Request, *, as_json: bool) -> None:
    """Print the most that the request can cost."""
    found = anyio.run(reckoned, experiment_of(request), request)
    if as_json:
        sys.stdout.write(json_text(ceiling_json(found, request.budget)))
    else:
        print(ceiling_line(found, request.budget, FLAGS))


def execute(request: Request, *, grace_seconds: float, as_json: bool) -> None:
    """Run the request, and print what was done and what to do next."""
    experiment = experiment_of(request)
    is_new = not (request.place / "run.db").exists()
    if request.players.kind == MINI and request.players.where == "local":
        say(f"warning: {UNSAFE}")

    async def session() -> Played:
        found = await reckoned(experiment, request)
        if is_new:  # else all that is asked may be stored, and no model be needed
            await request.voices.check_ready()
        if can_cost(experiment):
            say(ceiling_line(found, request.budget, FLAGS))
        return await perform(experiment, request, n_rollouts=found.rollouts, grace_seconds=grace_seconds)

    with request.where.quiet():
        played = anyio.run(session)
    if played.interrupted:
        say(resume_line())
        raise typer.Exit(130)
    place = quote(str(request.place))
    hints = [f"tts swebench eval {place}", f"tts show {place}"]
    finish(request.place, ended_line(played, request.place), hints, as_json=as_json)
    if n_open := n_unfinished(experiment, request.place):
        say(f"{plural(n_open, 'choice')} cut short by a failure of the machine: the same command goes on")
        raise typer.Exit(1)


def n_unfinished(experiment: Experiment, place: Path) -> int:
    """Return how many choices of the experiment the machine cut short."""
    tasks = {task.id for task in experiment.tasks}
    names = {strategy.name for strategy in experiment.planned()[0]}
    with Run.open(place) as run:
        choices = run.current_choices()
        return sum(c.unfinished and c.task_id in tasks and c.strategy in names for c in choices)


async def perform(
    experiment: Experiment, request: Request, *, n_rollouts: int, grace_seconds: float
) -> Played:
    """Run what is missing, and keep predictions and trajectories beside the database."""

    @contextmanager
    def keeping(store: Store) -> Generator[Listener]:
        remember(request.place, request.selection)
        with Run.open(request.place) as run:
            yield from _keeping(run, experiment, request)

    return await play(
        experiment, request.place, grace_seconds=grace_seconds, n_rollouts=n_rollouts, keeping=keeping
    )


def _keeping(run: Run, experiment: Experiment, request: Request) -> Generator[Listener]:
    names = [strategy.name for strategy in experiment.planned()[0]]
    model = request.players.label
    predictions = Predictions(run, request.place / "preds", names, model)
    trajectories = Trajectories(run, request.place / "trajs", model)

    def listener(event: Event) -> None:
        if request.players.kind != MINI:  # which writes its own
            trajectories(event)
        predictions(event)

    try:
        yield listener
    finally:
        predictions.write()
