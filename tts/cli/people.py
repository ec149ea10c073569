"""Finds agents, judges, summarizers and graders by registered name or as `module:attribute`."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from tts.agents.function import agent as made_agent
from tts.errors import UsageError
from tts.graders import FunctionGrader
from tts.protocols import Agent, Attempt, Grader, Judge, Summarizer, bound_of
from tts.registry import load
from tts.types import Budget, Rollout, Task


@dataclass(frozen=True, slots=True)
class BoundedAgent:
    """An agent with the bound that the user gave it; its identity stays the agent's own."""

    agent: Agent
    bound: Budget

    @property
    def fingerprint(self) -> str:
        """The agent's."""
        return self.agent.fingerprint

    async def run(self, task: Task, attempt: Attempt) -> Rollout:
        """Return the agent's rollout."""
        return await self.agent.run(task, attempt)


def agent_of(name: str, bound: Budget) -> Agent:
    """Return an agent by name, bounded by what `bound` sets and, elsewhere, by its own bound.

    Raises:
        UsageError: there is none, or what is there is no agent.
    """
    found = _made(_found("tts.agents", name), name)
    agent = found if isinstance(found, Agent) else made_agent(_function(found, name, "an agent"))
    if bound == Budget():
        return agent
    own = astuple(bound_of(agent))
    given = astuple(bound)
    return BoundedAgent(agent, Budget(*(o if g is None else g for g, o in zip(given, own, strict=True))))


def judge_of(name: str) -> Judge:
    """Return a judge by name.

    Raises:
        UsageError: there is none, or what is there is no judge.
    """
    judge: Judge = _played(name, "tts.judges", Judge, "a judge")
    return judge


def summarizer_of(name: str) -> Summarizer:
    """Return a summarizer by name.

    Raises:
        UsageError: there is none, or what is there is no summarizer.
    """
    summarizer: Summarizer = _played(name, "tts.summarizers", Summarizer, "a summarizer")
    return summarizer


def grader_of(name: str) -> Grader:
    """Return the grader at `module:attribute`: an object, or a function of a task and a rollout.

    Raises:
        UsageError: there is none, or what is there is no grader.
    """
    found = _made(_imported(name), name)
    return found if isinstance(found, Grader) else FunctionGrader(_function(found, name, "a grader"))


def _played(name: str, group: str, kind: Any, noun: str) -> Any:
    found = _made(_found(group, name), name)
    if not isinstance(found, kind):
        raise UsageError(
            f"{name!r} is not {noun}: {type(found).__name__} lacks its method or its fingerprint"
        )
    return found


def _found(group: str, name: str) -> Any:
    return _imported(name) if ":" in name else load(group, name)


def _made(found: Any, name: str) -> Any:
    """A class is made into an object; it must need no arguments."""
    if not inspect.isclass(found):
        return found
    try:
        return found()
    except TypeError as error:
        raise UsageError(f"{name!r} cannot be made without arguments: {error}") from error


def _function(found: Any, name: str, noun: str) -> Callable[..., Any]:
    if not callable(found):
        raise UsageError(f"{name!r} is not {noun}: it is a {type(found).__name__}, not a function or object")
    return found  # type: ignore[no-any-return]


def _imported(name: str) -> Any:
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise UsageError(f"{name!r} is not module:attribute, such as my_agent:solve")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except AttributeError:
        raise UsageError(f"the module {module!r} has no {attribute!r}") from None
    except Exception as error:
        raise UsageError(f"{name!r} cannot be imported: {type(error).__name__}: {error}") from error
    return found
