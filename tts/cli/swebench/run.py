"""`tts swebench run`: SWE-bench instances through one or more strategies, with any agent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tts.cli import options as shared
from tts.cli import where
from tts.cli.swebench import options as ours
from tts.errors import UsageError

EXAMPLES = """\b
Examples:
  tts swebench run --subset verified --split test --filter 'sympy__sympy-13480$' -m openai/gpt-5 -o runs/one
  tts swebench run --subset verified --split test -m anthropic/claude-sonnet-4-5 --attempts 16 -w 16 \\
      --max-cost 500 --rollout-usd 2 -o runs/verified
  tts swebench run --subset verified --split test -m openai/qwen3-coder --base-url http://localhost:8000/v1 \\
      --price 0,0 -s rtv@8 -s pdr-rtv@8 -o runs/local
  tts swebench run --subset mine.jsonl --repos clones --agent-cmd 'mytool {prompt_file}' --attempts 4
  tts swebench run --subset lite --split test --agent pool:pools/others --attempts 8 -o runs/others

\b
Writes preds/STRATEGY.json, trajs/INSTANCE/N.traj.json and run.db into -o; grades come with
`tts swebench eval`. The same -o resumes: what failed by infrastructure runs again, what an agent failed at
does not. The model of -m plays agent, summarizer and judge unless others are named.
"""


def run(
    subset: ours.Subset = None,
    split: ours.Split = None,
    slice_: ours.Slice = None,
    filter_: ours.Filter = None,
    shuffle: ours.Shuffle = None,
    model: ours.Name = "",
    config: ours.Configs = None,
    strategy: shared.Strategies = None,
    attempts: ours.Attempts = None,
    workers: Annotated[
        int, typer.Option("-w", "--workers", metavar="N", help="Rollouts at once.", min=1)
    ] = 4,
    place: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The run's folder; the same one resumes.")
    ] = Path("runs/swebench"),
    redo_existing: ours.Redo = False,
    environment_class: ours.Environment = None,
    agent: Annotated[
        str,
        shared.player(
            "tts.agents",
            "mini-swe-agent (default), pool:DIR (imported attempts), a registered one, or module:attribute.",
        ),
    ] = "",
    agent_cmd: ours.AgentCommand = "",
    agent_version: ours.AgentVersion = "",
    judge: Annotated[
        str, shared.player("tts.judges", "A judge, module:attribute, or a model; else -m, else evidence.")
    ] = "",
    summarizer: Annotated[
        str,
        shared.player(
            "tts.summarizers", "A summarizer, module:attribute, or a model; else -m, else extractive."
        ),
    ] = "",
    repos: ours.Repos = None,
    sandbox: ours.SandboxName = "",
    mount: ours.Mounts = None,
    pass_env: ours.PassEnv = None,
    agent_network: ours.AgentNetwork = None,
    command_network: ours.CommandNetwork = False,
    step_limit: ours.StepLimit = None,
    cost_limit: ours.UsdLimit = None,
    seed: shared.Seed = 0,
    grace: shared.Grace = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the most it can cost, and stop.")] = False,
    as_json: shared.Json = False,
    temperature: shared.Temperature = None,
    option: shared.RequestOptions = None,
    prompts: shared.Templates = None,
    base_url: shared.BaseUrls = None,
    price: shared.Prices = None,
    max_output_tokens: shared.OutputCaps = None,
    rpm: shared.Rpm = None,
    tpm: shared.Tpm = None,
    concurrency: shared.Concurrency = 256,
    start: shared.Start = 32,
    no_schema: shared.NoSchema = False,
    max_cost: shared.MaxUsd = None,
    max_tokens: shared.MaxTokens = None,
    max_seconds: shared.MaxSeconds = None,
    max_rollouts: shared.MaxRollouts = None,
    task_max_cost: shared.TaskMaxUsd = None,
    rollout_usd: shared.RolloutUsd = None,
    rollout_tokens: shared.RolloutTokens = None,
    rollout_seconds: shared.RolloutSeconds = None,
    executor: where.Name = where.ExecutorName.local,
    address: where.Address = "",
    cpus: where.Cpus = None,
    memory: where.Memory = None,
    resource: where.Resources = None,
    working_dir: where.WorkingDir = None,
) -> None:
    """Take SWE-bench instances through strategies.

    Attempts are made by mini-swe-agent or any other agent; what strategies choose is written as predictions.
    """
    from tts.cli.models import voices_of
    from tts.cli.swebench.cast import Players
    from tts.cli.swebench.running import Request, dry, execute, strategies_of
    from tts.cli.swebench.selection import selection_of
    from tts.models.throttle import Limits

    if redo_existing:
        raise UsageError(
            "--redo-existing: what is stored is paid for and not thrown away; for fresh attempts beside it "
            f"give another --seed, such as {seed + 1}, or another -o; what the machine failed runs again"
        )
    players = Players(
        model=model,
        agent=agent,
        command=agent_cmd,
        judge=judge,
        summarizer=summarizer,
        configs=tuple(config or ()),
        environment=environment_class.value if environment_class else "",
        sandbox=sandbox,
        mounts=tuple(mount or ()),
        variables=tuple(pass_env or ()),
        version=agent_version,
        agent_network=agent_network,
        command_network=command_network,
        step_limit=step_limit,
        cost_limit=cost_limit,
        bound=shared.budget_of(rollout_usd, rollout_tokens, rollout_seconds),
        prompts=prompts,
    )
    voices = voices_of(
        players.names,
        base_url=base_url or (),
        price=price or (),
        option=option or (),
        temperature=temperature,
        max_output_tokens=max_output_tokens or (),
        schemas=not no_schema,
        limits=Limits(rpm, tpm, concurrency, start),
    )
    request = Request(
        selection=selection_of(
            place, subset=subset, split=split, slice=slice_, filter=filter_, shuffle=shuffle
        ),
        repos=repos,
        strategies=strategies_of(strategy or (), attempts, place),
        place=place,
        players=players,
        voices=voices,
        budget=shared.budget_of(max_cost, max_tokens, max_seconds, max_rollouts),
        task_budget=shared.budget_of(task_max_cost),
        seed=seed,
        workers=workers,
        where=where.Where(executor, address, cpus, memory, resource, working_dir),
    )
    if dry_run:
        dry(request, as_json=as_json)
    else:
        execute(request, grace_seconds=grace, as_json=as_json)
