"""mini-swe-agent as an agent: the extra `swebench`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tts.models.prices import Price
from tts.models.throttle import Limits
from tts.prompts import Prompts
from tts.protocols import Agent
from tts.sandboxes.box import Sandbox


def mini_agent(
    model: str,
    *,
    config: Sequence[str] = (),
    environment: str = "bubblewrap",
    sandbox: Sandbox | None = None,
    network: bool = False,
    step_limit: int | None = None,
    cost_limit: float | None = None,
    seconds: float | None = None,
    trajectories: Path | None = None,
    base_url: str = "",
    price: Price | None = None,
    limits: Limits = Limits(),
    temperature: float | None = None,
    options: Mapping[str, Any] | None = None,
    prompts: Prompts = Prompts(),
) -> Agent:
    """Return mini-swe-agent with a model by its litellm name.

    `config` are mini-swe-agent's `-c` specs: YAML files by name or path, or `section.key=value`; without a
    file its own `swebench.yaml` comes first. `environment` is `bubblewrap`, `docker` or `local`. `network`
    is for the commands it runs. `step_limit`, `cost_limit` (dollars) and `seconds` end an attempt; None
    leaves what the configuration says. `options` go into every request, such as `{"max_tokens": 8000}`.

    Raises:
        UsageError: the package is missing, or something of this cannot be.
    """
    from tts.agents.mini.making import made

    return made(
        model,
        config=config,
        environment=environment,
        sandbox=sandbox,
        network=network,
        agent={"step_limit": step_limit, "cost_limit": cost_limit},
        seconds=seconds,
        trajectories=trajectories,
        base_url=base_url,
        price=price,
        limits=limits,
        model_kwargs={**(options or {}), "temperature": temperature},
        prompts=prompts,
    )
