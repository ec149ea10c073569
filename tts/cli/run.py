"""`tts run`: one or more strategies on the tasks of a file, with an agent of the user's."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tts.cli.options import Grace, Json, Seed, Strategies, Workers
from tts.cli.replay import Same
from tts.errors import UsageError
from tts.types import Budget

EXAMPLES = """\b
Examples:
  tts run --tasks tasks.jsonl --agent my_agent:solve -s single -s vote@5 -s pass@5 -o runs/first
  tts run --tasks tasks.jsonl --agent my_agent:solve -s rtv@8 --judge my_judge:judge --dry-run
  tts run --tasks tasks.jsonl --agent my_agent:solve -s rtv@8 --rollout-usd 0.20 --max-cost 25

\b
A line of the tasks: {"id": "t1", "prompt": "What is 2 + 2?", "expected": "4", "metadata": {"group": "sums"}}
`expected` goes to the grader only. An agent is a function of a task (and an attempt) that returns text or
a Rollout, or an object with `run`. The same -o resumes; more strategies, tasks or rollouts extend the run.
"""


class Graded(StrEnum):
    """Which rollouts are graded."""

    winners = "winners"
    all = "all"
    none = "none"


def _limit(metavar: str, told: str) -> Any:
    return typer.Option(metavar=metavar, min=0, help=told)


def run(
    tasks: Annotated[Path, typer.Option(metavar="FILE.jsonl", help="The tasks, one JSON object a line.")],
    agent: Annotated[str, typer.Option(metavar="NAME", help="A registered agent, or module:attribute.")],
    strategy: Strategies = None,
    place: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="The run's folder (runs/ and the file's name)."),
    ] = None,
    judge: Annotated[str, typer.Option(metavar="NAME", help="A judge, or module:attribute.")] = "evidence",
    summarizer: Annotated[
        str, typer.Option(metavar="NAME", help="A summarizer, or module:attribute.")
    ] = "extractive",
    grader: Annotated[
        str, typer.Option(metavar="MODULE:NAME", help="Grades (task, rollout), in place of expected answers.")
    ] = "",
    same: Annotated[Same, typer.Option(help="When an answer equals the expected one.")] = Same.text,
    grade: Annotated[
        Graded, typer.Option(help="Which rollouts are graded; estimators such as pass@6 need all.")
    ] = Graded.all,
    max_cost: Annotated[float | None, _limit("USD", "Most dollars of the whole run.")] = None,
    max_tokens: Annotated[int | None, _limit("N", "Most tokens of the whole run.")] = None,
    max_seconds: Annotated[float | None, _limit("SECONDS", "Most seconds of work of the whole run.")] = None,
    max_rollouts: Annotated[int | None, _limit("N", "Most rollouts of the whole run.")] = None,
    task_max_cost: Annotated[
        float | None, _limit("USD", "Most dollars of each strategy on each task.")
    ] = None,
    task_max_tokens: Annotated[int | None, _limit("N", "Most tokens of each strategy on each task.")] = None,
    task_max_seconds: Annotated[
        float | None, _limit("SECONDS", "Most seconds of work of each strategy on each task.")
    ] = None,
    task_max_rollouts: Annotated[
        int | None, _limit("N", "Most rollouts of each strategy on each task.")
    ] = None,
    rollout_usd: Annotated[float | None, _limit("USD", "Most dollars of one attempt.")] = None,
    rollout_tokens: Annotated[int | None, _limit("N", "Most tokens of one attempt.")] = None,
    rollout_seconds: Annotated[
        float | None, _limit("SECONDS", "Most seconds of work of one attempt.")
    ] = None,
    seed: Seed = 0,
    workers: Workers = 4,
    grace: Grace = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the most it can cost, and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Run strategies on your tasks with your agent.

    What they choose is graded afterwards and compared.

    A limit on dollars, tokens or seconds needs the most that one attempt can take (--rollout-…).
    """
    from tts.cli.running import Request, dry, execute

    if not strategy:
        raise UsageError("no strategy was given: add one or more, such as -s single -s rtv@6")
    request = Request(
        tasks=tasks,
        strategies=tuple(strategy),
        place=place or Path("runs") / tasks.stem,
        agent=agent,
        judge=judge,
        summarizer=summarizer,
        grader=grader,
        same=same.value,
        grade=grade.value,
        budget=_budget(max_cost, max_tokens, max_seconds, max_rollouts),
        task_budget=_budget(task_max_cost, task_max_tokens, task_max_seconds, task_max_rollouts),
        bound=_budget(rollout_usd, rollout_tokens, rollout_seconds),
        seed=seed,
        workers=workers,
    )
    if dry_run:
        dry(request, as_json=as_json)
    else:
        execute(request, grace_seconds=grace, as_json=as_json)


def _budget(
    usd: float | None, tokens: int | None, seconds: float | None, rollouts: int | None = None
) -> Budget:
    try:
        return Budget(usd, tokens, seconds, rollouts)
    except ValueError as error:
        raise UsageError(str(error)) from None
