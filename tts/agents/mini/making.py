"""Makes the agent of what the command line says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tts.agents.mini.agent import MiniAgent
from tts.agents.mini.asking import Source
from tts.agents.mini.settings import PLACES, Place, settings
from tts.errors import UsageError
from tts.models.prices import Price
from tts.models.throttle import Limits
from tts.prompts import Prompts
from tts.sandboxes.box import Sandbox


def made(
    model: str,
    *,
    config: Sequence[str],
    environment: str,
    sandbox: Sandbox | None,
    network: bool,
    agent: Mapping[str, Any],
    seconds: float | None,
    trajectories: Path | None,
    base_url: str,
    price: Price | None,
    limits: Limits,
    model_kwargs: Mapping[str, Any],
    prompts: Prompts,
) -> MiniAgent:
    """Return the agent; see `tts.agents.mini.mini_agent`.

    Raises:
        UsageError: the package is missing, or something of this cannot be.
    """
    place: Place | None = next((known for known in PLACES if known == environment), None)
    if place is None:
        raise UsageError(f"the environment is {', '.join(PLACES)}, not {environment!r}")
    if "/" not in model.strip("/"):
        raise UsageError(
            f"{model!r} is no model: write PROVIDER/NAME as litellm has it, such as openai/gpt-5"
        )
    for name, value in agent.items():
        if value is not None and not 0 <= value < float("inf"):
            raise UsageError(f"{name} is 0 (no limit) or more, not {value}")
    if seconds is not None and not 0 < seconds < float("inf"):
        raise UsageError(f"seconds are more than 0, not {seconds}")
    found = settings(config, model=model, agent=agent, model_kwargs=model_kwargs)
    return MiniAgent(
        source=Source(
            name=model,
            base_url=base_url,
            price=price,
            limits=limits,
            max_output_tokens=found.max_output_tokens,
        ),
        settings=found,
        place=place,
        sandbox=sandbox if sandbox is not None else _sandbox(place),
        network=network,
        seconds=seconds,
        trajectories=trajectories,
        prompts=prompts,
        priced=bool(agent.get("cost_limit")),
    )


def _sandbox(place: str) -> Sandbox:
    """The sandbox of a place; a container is a sandbox itself, and its engine is called from outside."""
    if place == "bubblewrap":
        from tts.sandboxes.bwrap import Bwrap

        return Bwrap()
    from tts.sandboxes.none import NoSandbox

    return NoSandbox()
