"""Finds who plays a role: by registered name, as `module:attribute`, or by the name of a model."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypedDict, Unpack

from tts.agents.answers import AnswerForm, Extraction, answer_form
from tts.agents.chat import ChatAgent, Thinking
from tts.agents.function import AgentFunction, as_agent
from tts.confidence import WINDOW
from tts.errors import UsageError
from tts.graders import FunctionGrader
from tts.models.call import Patience
from tts.models.chat import Chat
from tts.models.names import model
from tts.models.prices import Price
from tts.models.providers import is_model
from tts.models.throttle import Limits
from tts.prompts import Prompts
from tts.protocols import Agent, Attempt, Grader, Judge, Summarizer, bound_of
from tts.registry import load
from tts.types import Budget, Rollout, Task

Maker: TypeAlias = Callable[[str], Chat]
"""Makes the model of a name."""


class ModelOptions(TypedDict, total=False):
    """What `tts.model` takes beside the name."""

    base_url: str
    max_output_tokens: int
    temperature: float | None
    price: Price | str | None
    limits: Limits
    patience: Patience
    key_name: str
    schemas: bool
    options: Mapping[str, Any] | None


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

    def __getattr__(self, name: str) -> Any:
        """Return the agent's own `bound_for` or `ready`, where it has one."""
        if name in ("bound_for", "ready", "named", "templates"):
            return getattr(self.agent, name)
        raise AttributeError(name)


def bounded(agent: Agent, bound: Budget) -> Agent:
    """Return the agent bounded by what `bound` sets and, elsewhere, by its own bound."""
    if bound == Budget():
        return agent
    pairs = zip(astuple(bound), astuple(bound_of(agent)), strict=True)
    return BoundedAgent(agent, Budget(*(own if given is None else given for given, own in pairs)))


def chat(
    named: str | Chat,
    *,
    answer: str | Extraction | AnswerForm = "text",
    thinking: Thinking = "shown",
    prompts: Prompts | Path | str | None = None,
    max_prior_tokens: int = 8_000,
    logprobs: int = 0,
    window: int = WINDOW,
    **options: Unpack[ModelOptions],
) -> ChatAgent:
    """Return an agent that answers with one completion of a model, given by name or as it is.

    `answer` says how the answer is taken out of the text: `tts.agents.answers.answer_form` has the forms.
    `prompts` is a folder of templates in place of ours. `logprobs` is how many of the likeliest tokens at
    each place tell their log-probabilities (20 for DeepConf), of which the confidence signals are made over
    groups of `window` tokens; 0: none. The rest are the options of `tts.model`, for a name.

    Raises:
        UsageError: a name or a form cannot be read, or options go with a model that is made already.
    """
    if options and not isinstance(named, str):
        raise UsageError(f"{', '.join(options)}: give this to tts.model, which makes the model")
    return ChatAgent(
        model=model(named, **options) if isinstance(named, str) else named,
        answer=answer_form(answer),
        thinking=thinking,
        prompts=prompts if isinstance(prompts, Prompts) else Prompts(prompts),
        max_prior_tokens=max_prior_tokens,
        logprobs=logprobs,
        window=window,
    )


def agent_of(given: str | Agent | AgentFunction, bound: Budget = Budget()) -> Agent:
    """Return an agent as it is, of a function, or by name, bounded by what `bound` sets.

    Raises:
        UsageError: there is none, or what is there is no agent.
    """
    return bounded(_agent(given) if isinstance(given, str) else as_agent(given), bound)


def _agent(name: str) -> Agent:
    if _is_model(name):
        return chat(name)
    found = _made(_found("tts.agents", name), name)
    return found if isinstance(found, Agent) else as_agent(_function(found, name, "an agent"))


def judge_of(given: str | Judge, *, made: Maker = model, prompts: Prompts = Prompts()) -> Judge:
    """Return a judge as it is, or by name; `made` makes the model of a name.

    Raises:
        UsageError: there is none, or what is there is no judge.
    """
    if not isinstance(given, str):
        return given
    if _is_model(given):
        from tts.judges.model import ModelJudge

        return ModelJudge(model=made(given), prompts=prompts)
    judge: Judge = _played(given, "tts.judges", Judge, "a judge")
    return judge


def summarizer_of(
    given: str | Summarizer, *, made: Maker = model, prompts: Prompts = Prompts()
) -> Summarizer:
    """Return a summarizer as it is, or by name; `made` makes the model of a name.

    Raises:
        UsageError: there is none, or what is there is no summarizer.
    """
    if not isinstance(given, str):
        return given
    if _is_model(given):
        from tts.summarizers.model import ModelSummarizer

        return ModelSummarizer(model=made(given), prompts=prompts)
    summarizer: Summarizer = _played(given, "tts.summarizers", Summarizer, "a summarizer")
    return summarizer


def grader_of(name: str) -> Grader:
    """Return the grader at `module:attribute`: an object, or a function of a task and a rollout.

    Raises:
        UsageError: there is none, or what is there is no grader.
    """
    found = _made(_imported(name), name)
    return found if isinstance(found, Grader) else FunctionGrader(_function(found, name, "a grader"))


def _is_model(name: str) -> bool:
    """Whether a name can only be meant as a model's; `model` says what is wrong with an unknown provider."""
    return is_model(name) or ("/" in name and ":" not in name)


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
