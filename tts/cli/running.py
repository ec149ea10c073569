"""Makes an experiment of a request to run, and runs it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shlex import quote

import anyio
import typer

from tts.agents.several import Several
from tts.cli.console import as_json as json_text
from tts.cli.console import say
from tts.cli.models import Voices
from tts.cli.play import Played, can_cost, ceiling_json, ceiling_line, ended_line, most, play, resume_line
from tts.cli.results import finish
from tts.cli.sandboxed import sandbox_of
from tts.cli.tasks import TaskFile, read_tasks
from tts.cli.testing import Testing, wants_tester
from tts.cli.where import Where
from tts.equivalence import equivalence
from tts.errors import UsageError
from tts.experiment import FLAGS, Experiment
from tts.graders import ExpectedAnswer
from tts.prompts import Prompts
from tts.protocols import Agent, Grader, Tester, Workspaces
from tts.roles import agent_of, bounded, chat, grader_of, judge_of, summarizer_of
from tts.types import Budget
from tts.workspaces.git import GitWorkspaces


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What the command line asked for; `bound` is the most that one attempt can take.

    `agent` is "" where a model of `voices` answers; `answer`, `thinking` and `logprobs` are how, "" and 0
    where not said.
    """

    tasks: Path
    strategies: tuple[str, ...]
    place: Path
    agent: str
    shares: tuple[int, ...]
    judge: str
    summarizer: str
    voices: Voices
    answer: str
    thinking: str
    logprobs: int
    prompts: Path | None
    testing: Testing
    sandbox: str
    grader: str
    same: str
    grade: str
    budget: Budget
    task_budget: Budget
    bound: Budget
    seed: int
    workers: int
    where: Where = Where()


def experiment_of(request: Request) -> Experiment:
    """Return the experiment.

    Raises:
        UsageError: a file, a name or a strategy that is not there or cannot be read.
    """
    file = read_tasks(request.tasks)
    voices, prompts = request.voices, Prompts(request.prompts)
    voices.check_prices((request.budget, request.task_budget), request.bound)
    agent = _agent(request, prompts)
    workspaces = GitWorkspaces() if any(task.repo for task in file.tasks) else None
    return Experiment(
        tasks=file.tasks,
        strategies=request.strategies,
        agent=agent,
        judge=judge_of(request.judge, made=partial(voices.model, "judge"), prompts=prompts),
        summarizer=summarizer_of(
            request.summarizer, made=partial(voices.model, "summarizer"), prompts=prompts
        ),
        tester=_tester(request, agent, workspaces, prompts),
        grader=_grader(request, file),
        workspaces=workspaces,
        seed=request.seed,
        budget=request.budget,
        task_budget=request.task_budget,
        workers=request.workers,
        where=request.where.executors(),
        grade=request.grade,
    )


def _tester(request: Request, agent: Agent, workspaces: Workspaces | None, prompts: Prompts) -> Tester | None:
    if not wants_tester(request.strategies):
        if request.testing.given:
            raise UsageError(f"{request.testing.given}: no strategy here selects by tests, such as codet@8")
        return None
    box = partial(sandbox_of, request.sandbox)
    return request.testing.role(request.voices, box, agent=agent, workspaces=workspaces, prompts=prompts)


def _agent(request: Request, prompts: Prompts) -> Agent:
    names = request.voices.names["model"]
    if not names:
        _check_unused(request)
        return agent_of(request.agent, request.bound)
    answering = {name: _answering(name, request, prompts) for name in names}
    agent = Several(answering, request.shares) if len(names) > 1 else answering[names[0]]
    return bounded(agent, request.bound)


def _answering(name: str, request: Request, prompts: Prompts) -> Agent:
    return chat(
        request.voices.model("model", name),
        answer=request.answer or "text",
        thinking="hidden" if request.thinking == "hidden" else "shown",
        prompts=prompts,
        logprobs=request.logprobs,
    )


def _check_unused(request: Request) -> None:
    """What only a model can follow must not be passed over in silence."""
    given = {
        "--answer": request.answer,
        "--thinking": request.thinking,
        "--logprobs": request.logprobs,
        "--temperature": request.voices.temperature is not None,
        "--option": request.voices.options,
    }
    if unused := [flag for flag, value in given.items() if value]:
        raise UsageError(f"{unused[0]} is for --model, and the agent here is {request.agent}: leave it out")


def dry(request: Request, *, as_json: bool) -> None:
    """Print the most that the request can cost."""
    found = anyio.run(most, experiment_of(request))
    if as_json:
        sys.stdout.write(json_text(ceiling_json(found, request.budget)))
    else:
        print(ceiling_line(found, request.budget, flags_of(request)))


def flags_of(request: Request) -> Mapping[str, str]:
    """Return the flags that make known, by dimension, what the request can cost."""
    return {**FLAGS, "usd": "--price"} if request.voices.unpriced else FLAGS


def execute(request: Request, *, grace_seconds: float, as_json: bool) -> None:
    """Run the request and print the comparison."""
    experiment = experiment_of(request)
    is_new = not (request.place / "run.db").exists()

    async def session() -> Played:
        found = await most(experiment)
        if is_new:  # else all that is asked may be stored, and no model be needed
            await request.voices.check_ready()
        if can_cost(experiment):
            say(ceiling_line(found, request.budget, flags_of(request)))
        return await play(experiment, request.place, grace_seconds=grace_seconds, n_rollouts=found.rollouts)

    with request.where.quiet():
        played = anyio.run(session)
    if played.interrupted:
        say(resume_line())
        raise typer.Exit(130)
    place = quote(str(request.place))
    hints = [f"tts show {place}", f"tts report {place} --format markdown"]
    finish(request.place, ended_line(played, request.place), hints, as_json=as_json)


def _grader(request: Request, file: TaskFile) -> Grader | None:
    if request.grader:
        return grader_of(request.grader)
    missing = [task.id for task in file.tasks if task.id not in file.truths]
    if file.truths and missing and request.grade != "none":
        raise UsageError(
            f"the task {missing[0]!r} has no expected answer and others have: give all, or --grade none"
        )
    equivalence(request.same)
    return ExpectedAnswer(file.truths, request.same) if file.truths else None
