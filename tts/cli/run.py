"""`tts run`: one or more strategies on the tasks of a file, with a model or an agent of the user's."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tts.cli import options, where
from tts.cli.options import LIMITS, MODELS, Grace, Json, Seed, Strategies, Workers, budget_of, player
from tts.cli.replay import Same
from tts.errors import UsageError

EXAMPLES = """\b
Examples:
  tts run --tasks tasks.jsonl --agent my_agent:solve -s single -s vote@5 -s pass@5 -o runs/first
  tts run --tasks tasks.jsonl --agent my_agent:solve -s rtv@8 --judge my_judge:judge --dry-run
  tts run --tasks tasks.jsonl --model openai/gpt-5-mini --answer boxed -s vote@8 --max-cost 5
  tts run --tasks tasks.jsonl --model openai/qwen3 --base-url http://localhost:8000/v1 -s short-3@8
  tts run --tasks tasks.jsonl --agent my_agent:solve -s rtv@16 --executor ray --address auto --workers 64
  tts run --tasks tasks.jsonl --model openai/gpt-5 --judge anthropic/claude-sonnet-4-5 -s rtv@8

\b
A line of the tasks: {"id": "t1", "prompt": "What is 2 + 2?", "expected": "4", "metadata": {"group": "sums"}}
`expected` goes to the grader only. An agent is a function of a task (and an attempt) that returns text or
a Rollout, or an object with `run`. The same -o resumes; more strategies, tasks or rollouts extend the run.
A model is PROVIDER/NAME: openai, anthropic, azure, bedrock or vertex_ai; a server of your own that speaks
OpenAI's API is openai/NAME with --base-url. Keys come from the environment; `tts check` tries them.
"""


class Graded(StrEnum):
    """Which rollouts are graded."""

    winners = "winners"
    all = "all"
    none = "none"


class Thinking(StrEnum):
    """Whether a model shows its thinking."""

    shown = "shown"
    hidden = "hidden"


def _limit(metavar: str, told: str) -> Any:
    return typer.Option(metavar=metavar, min=0, help=told, rich_help_panel=LIMITS)


def run(
    tasks: Annotated[Path, typer.Option(metavar="FILE.jsonl", help="The tasks, one JSON object a line.")],
    agent: Annotated[str, player("tts.agents", "A registered agent, or module:attribute.")] = "",
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PROVIDER/NAME",
            help="A model that answers, in place of an agent. Several share the attempts. Repeatable.",
        ),
    ] = None,
    shares: Annotated[
        str,
        typer.Option(metavar="N:M", help="How several --model share the attempts, in their order (evenly)."),
    ] = "",
    strategy: Strategies = None,
    place: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="The run's folder (runs/ and the file's name)."),
    ] = None,
    judge: Annotated[
        str, player("tts.judges", "A judge, module:attribute, or a model's PROVIDER/NAME.")
    ] = "evidence",
    summarizer: Annotated[
        str, player("tts.summarizers", "A summarizer, module:attribute, or a model's PROVIDER/NAME.")
    ] = "extractive",
    grader: Annotated[
        str, typer.Option(metavar="MODULE:NAME", help="Grades (task, rollout), in place of expected answers.")
    ] = "",
    same: Annotated[Same, typer.Option(help="When an answer equals the expected one.")] = Same.text,
    grade: Annotated[
        Graded, typer.Option(help="Which rollouts are graded; estimators such as pass@6 need all.")
    ] = Graded.all,
    seed: Seed = 0,
    workers: Workers = 4,
    grace: Grace = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the most it can cost, and stop.")] = False,
    as_json: Json = False,
    answer: Annotated[
        str,
        typer.Option(
            metavar="FORM",
            help="The answer in --model's text: text, boxed, number, choice, json:FIELD, regex:….",
            rich_help_panel=MODELS,
        ),
    ] = "",
    thinking: Annotated[
        Thinking | None,
        typer.Option(help="Whether --model streams its thinking (shown).", rich_help_panel=MODELS),
    ] = None,
    logprobs: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Ask --model for the log-probabilities of the N likeliest tokens; deepconf needs 20.",
            rich_help_panel=MODELS,
        ),
    ] = 0,
    test_writer: options.TestWriter = "",
    tests: options.TestFiles = None,
    case_seconds: options.CaseSeconds = 30.0,
    sandbox: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Where tests run: bwrap (default), or none: no sandbox.",
            rich_help_panel=options.TESTS,
        ),
    ] = "",
    temperature: options.Temperature = None,
    option: options.RequestOptions = None,
    prompts: options.Templates = None,
    base_url: options.BaseUrls = None,
    price: options.Prices = None,
    max_output_tokens: options.OutputCaps = None,
    rpm: options.Rpm = None,
    tpm: options.Tpm = None,
    concurrency: options.Concurrency = 256,
    start: options.Start = 32,
    no_schema: options.NoSchema = False,
    max_cost: options.MaxUsd = None,
    max_tokens: options.MaxTokens = None,
    max_seconds: options.MaxSeconds = None,
    max_rollouts: options.MaxRollouts = None,
    task_max_cost: options.TaskMaxUsd = None,
    task_max_tokens: Annotated[int | None, _limit("N", "Most tokens of each strategy on each task.")] = None,
    task_max_seconds: Annotated[
        float | None, _limit("SECONDS", "Most seconds of work of each strategy on each task.")
    ] = None,
    task_max_rollouts: Annotated[
        int | None, _limit("N", "Most rollouts of each strategy on each task.")
    ] = None,
    rollout_usd: options.RolloutUsd = None,
    rollout_tokens: options.RolloutTokens = None,
    rollout_seconds: options.RolloutSeconds = None,
    executor: where.Name = where.ExecutorName.local,
    address: where.Address = "",
    cpus: where.Cpus = None,
    memory: where.Memory = None,
    resource: where.Resources = None,
    working_dir: where.WorkingDir = None,
) -> None:
    """Run strategies on your tasks with a model or with your agent.

    What they choose is graded afterwards and compared.

    A limit on dollars, tokens or seconds needs the most that one attempt can take: a model's is reckoned,
    an agent's is given (--rollout-…).
    """
    from tts.cli.models import names_of, voices_of
    from tts.cli.running import Request, dry, execute
    from tts.cli.testing import Testing
    from tts.models.throttle import Limits

    if not strategy:
        raise UsageError("no strategy was given: add one or more, such as -s single -s rtv@6")
    models = model or []
    _check_one(agent, models)
    testing = Testing(writer=test_writer, files=tuple(tests or ()), seconds=case_seconds)
    voices = voices_of(
        names_of(agent=agent, model=models, judge=judge, summarizer=summarizer, tester=testing.model),
        base_url=base_url or (),
        price=price or (),
        option=option or (),
        temperature=temperature,
        max_output_tokens=max_output_tokens or (),
        schemas=not no_schema,
        limits=Limits(rpm, tpm, concurrency, start),
    )
    request = Request(
        tasks=tasks,
        strategies=tuple(strategy),
        place=place or Path("runs") / tasks.stem,
        agent=agent,
        shares=shares_of(shares, models),
        judge=judge,
        summarizer=summarizer,
        voices=voices,
        answer=answer,
        thinking=thinking.value if thinking is not None else "",
        logprobs=logprobs,
        prompts=prompts,
        testing=testing,
        sandbox=sandbox,
        grader=grader,
        same=same.value,
        grade=grade.value,
        budget=budget_of(max_cost, max_tokens, max_seconds, max_rollouts),
        task_budget=budget_of(task_max_cost, task_max_tokens, task_max_seconds, task_max_rollouts),
        bound=budget_of(rollout_usd, rollout_tokens, rollout_seconds),
        seed=seed,
        workers=workers,
        where=where.Where(executor, address, cpus, memory, resource, working_dir),
    )
    if dry_run:
        dry(request, as_json=as_json)
    else:
        execute(request, grace_seconds=grace, as_json=as_json)


def _check_one(agent: str, models: Sequence[str]) -> None:
    if bool(agent) == bool(models):
        told = "--agent and --model exclude each other" if agent else "one of --agent and --model is needed"
        raise UsageError(
            f"{told}: an agent is module:attribute, such as my_agent:solve, a model PROVIDER/NAME, such as "
            "openai/gpt-5"
        )
    if len(set(models)) < len(models):
        raise UsageError(f"--model {models[-1]} is named twice: name each once, and give --shares")


def shares_of(text: str, models: Sequence[str]) -> tuple[int, ...]:
    """Return the shares of several models, empty for even ones.

    Raises:
        UsageError: they are not one whole number from 1 for each model.
    """
    parts = text.split(":") if text else []
    if parts and (len(parts) != len(models) or not all(p.isdecimal() and int(p) for p in parts)):
        raise UsageError(
            f"--shares {text[:80]}: write a whole number from 1 for each --model, such as 3:1 for two"
        )
    return tuple(map(int, parts))
