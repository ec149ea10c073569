"""Test-time scaling of AI agents: many rollouts of a task, and strategies that select or refine them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tts.agents.function import agent
    from tts.api import Result, select, solve, solve_sync
    from tts.errors import Infra, LimitReached, Refused, StrategyError, TtsError, UsageError
    from tts.experiment import Experiment
    from tts.models.names import model
    from tts.pipeline import Pipeline
    from tts.roles import chat
    from tts.testers.making import tester
    from tts.types import Budget, Pool, Rollout, Step, Summary, Task, Usage, Verdict

__version__ = "0.1.0"

_HOMES = {
    "tts.agents.function": ("agent",),
    "tts.api": ("Result", "select", "solve", "solve_sync"),
    "tts.errors": ("Infra", "LimitReached", "Refused", "StrategyError", "TtsError", "UsageError"),
    "tts.experiment": ("Experiment",),
    "tts.models.names": ("model",),
    "tts.pipeline": ("Pipeline",),
    "tts.roles": ("chat",),
    "tts.testers.making": ("tester",),
    "tts.types": ("Budget", "Pool", "Rollout", "Step", "Summary", "Task", "Usage", "Verdict"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Budget",
    "Experiment",
    "Infra",
    "LimitReached",
    "Pipeline",
    "Pool",
    "Refused",
    "Result",
    "Rollout",
    "Step",
    "StrategyError",
    "Summary",
    "Task",
    "TtsError",
    "Usage",
    "UsageError",
    "Verdict",
    "agent",
    "chat",
    "model",
    "select",
    "solve",
    "solve_sync",
    "tester",
]


def __getattr__(name: str) -> Any:
    """Load a public name where it is first used, so that `import tts` stays instant (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'tts' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
