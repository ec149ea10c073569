"""Makes an agent of a plain function: sync or async, returning text or a Rollout."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias, overload

import anyio
import anyio.to_thread

from tts.errors import UsageError
from tts.protocols import Agent, Attempt
from tts.types import Budget, Rollout, Task, digest

Answer: TypeAlias = str | Rollout
AgentFunction: TypeAlias = Callable[..., Answer | Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class FunctionAgent:
    """An agent that calls `function(task)` or `function(task, attempt)`.

    A synchronous function runs in a thread. A thread cannot be stopped from outside: when its rollout is
    cancelled the wait ends, and the function runs on until it returns or next calls the attempt.
    """

    function: AgentFunction
    fingerprint: str
    bound: Budget = Budget()
    n_given: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_given", max(1, _n_parameters(self.function)))

    async def run(self, task: Task, attempt: Attempt) -> Rollout:
        """Return the function's text as a rollout, or the rollout it made."""
        answer = await call(self.function, *(task, attempt)[: self.n_given])
        if isinstance(answer, Rollout):
            return answer
        if isinstance(answer, str):
            return Rollout(answer=answer)
        raise TypeError(f"an agent returns text or a Rollout, not {type(answer).__name__}")


def _n_parameters(function: AgentFunction) -> int:
    try:
        return len(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        raise UsageError(f"the parameters of {function!r} cannot be read: wrap it in a function") from None


async def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns; a synchronous one runs in a thread, which a cancelled wait abandons."""
    if inspect.iscoroutinefunction(function):
        return await function(*arguments)
    # A limiter of its own: an abandoned thread keeps its token, and the shared ones would run out.
    returned = await anyio.to_thread.run_sync(
        partial(function, *arguments), abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
    )
    return await returned if inspect.isawaitable(returned) else returned


@overload
def agent(function: AgentFunction, /) -> Agent: ...
@overload
def agent(*, version: str = "", bound: Budget = Budget()) -> Callable[[AgentFunction], Agent]: ...
def agent(
    function: AgentFunction | None = None, /, *, version: str = "", bound: Budget = Budget()
) -> Agent | Callable[[AgentFunction], Agent]:
    """Return an agent made of a function; also a decorator.

    Its fingerprint is the function's qualified name with `version`, or with its source where no version
    is given. `bound` is the most that one rollout can cost.

    Raises:
        UsageError: a closure, or a function without source, that names no version.

    >>> @agent
    ... def shout(task):
    ...     return task.prompt.upper()
    >>> shout.fingerprint.startswith("function:shout")
    True
    """
    if function is None:
        return lambda inner: FunctionAgent(inner, fingerprint_of(inner, version), bound)
    return FunctionAgent(function, fingerprint_of(function, version), bound)


def fingerprint_of(function: Callable[..., Any], version: str = "") -> str:
    """Return the identity of a function for keys: its name, and its version or what it visibly does.

    That is its module, its source, its default arguments, and the plain global values that it names.
    What it calls is not in it.

    Raises:
        UsageError: it is a method or closes over variables, its defaults have no stable text, or its
            source cannot be read; and no version is given.
    """
    name = getattr(function, "__qualname__", type(function).__qualname__)
    if version:
        return f"function:{name}@{version}"
    if inspect.ismethod(function) or getattr(function, "__closure__", None):
        raise UsageError(f"{name} depends on what its source does not show: give it a version")
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        raise UsageError(f"the source of {name} cannot be read: give it a version") from None
    defaults = repr((getattr(function, "__defaults__", None), getattr(function, "__kwdefaults__", None)))
    if " at 0x" in defaults:
        raise UsageError(f"a default argument of {name} has no stable text: give it a version")
    visible = [function.__module__, source, defaults, _plain_globals(function)]
    return f"function:{name}#{digest(visible)[:12]}"


def _plain_globals(function: Callable[..., Any]) -> dict[str, Any]:
    """The global values that a function names, as far as they are plain: texts, numbers, None."""
    code, values = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    named = code.co_names if code is not None else ()
    plain = (str, int, float, bool, type(None))
    return {name: values[name] for name in named if name in values and isinstance(values[name], plain)}


def as_agent(given: Agent | AgentFunction) -> Agent:
    """Return an agent as it is, and a plain function as an agent."""
    return given if isinstance(given, Agent) else agent(given)
