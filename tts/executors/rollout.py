"""Carries out a rollout: a workspace, an attempt with its limits, the agent, and the patch it left."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from math import isfinite
from operator import index
from pathlib import Path
from typing import cast, get_args

import anyio

from tts.errors import Infra, LimitReached
from tts.models.meter import metered
from tts.protocols import Agent, Work, Workspace, Workspaces
from tts.types import Budget, Effect, Rollout, Status, Step, Summary, Task, Usage
from tts.workspaces.handed import handed_in

INFRA = (Infra, ConnectionError)
"""What counts as the machine's failure and not the agent's."""


def limits_of(effect: Effect[Rollout]) -> Budget:
    """Return what the attempt is held to: the agent's own limits, not what it was reckoned to cost."""
    return Budget(**effect.params["limits"]) if "limits" in effect.params else effect.bound


class OneAttempt:
    """What the agent is lent; passes everything on, and stops the agent at its limits."""

    def __init__(
        self, effect: Effect[Rollout], priors: Sequence[Summary], workspace: Path | None, work: Work
    ) -> None:
        self.index = effect.occurrence
        self.seed = int(effect.key[:15], 16)
        self.priors = tuple(priors)
        self.workspace = workspace
        self.limits = limits_of(effect)
        self.usage = Usage()
        self.n_steps = 0
        self.trace_bytes = 0
        self.length: float | None = None
        self.thought = False
        self._work = work

    def record(self, step: Step) -> None:
        """Add a step to the trajectory."""
        _check_text(thought=step.thought, action=step.action, observation=step.observation)
        step = _plain(step)
        self._work.record(step)
        self.n_steps += 1
        self.trace_bytes += step.n_bytes
        self._count(step.usage)

    def spend(self, usage: Usage) -> None:
        """Add usage that belongs to no step."""
        usage = _checked(usage)
        self._work.spend(usage)
        self._count(usage)

    def progress(
        self, length: float | None, *, thought: bool = False, signals: Mapping[str, float] | None = None
    ) -> None:
        """Report the length so far."""
        self.length = None if length is None else float(length)
        self.thought = self.thought or thought
        if signals is None:
            self._work.progress(self.length, thought=thought)
        else:
            told = {name: float(x) for name, x in signals.items()}
            self._work.progress(self.length, thought=thought, signals=told)

    def _count(self, usage: Usage) -> None:
        self.usage = self.usage + usage
        if _over(self.usage.known_usd, self.limits.usd) or _over(self.usage.tokens, self.limits.tokens):
            raise LimitReached("the attempt has passed its own bound")


class RolloutRunner:
    """Runs the agent once. Whatever the agent raises is a failed rollout; its steps are kept."""

    def __init__(self, agent: Agent, workspaces: Workspaces | None = None) -> None:
        self._agent = agent
        self._workspaces = workspaces

    async def perform(self, effects: Sequence[Effect[Rollout]], work: Work) -> Sequence[Rollout]:
        """Return the rollouts, one after another."""
        return [await self._run(effect, work) for effect in effects]

    async def _run(self, effect: Effect[Rollout], work: Work) -> Rollout:
        priors = [work.load(key, Summary) for key in effect.inputs]
        earlier = tuple(dict.fromkeys(key for prior in priors for key in prior.rollouts))
        started = time.monotonic()
        async with self._workspace(effect.task) as workspace:
            attempt = OneAttempt(effect, priors, workspace.path if workspace else None, work)
            rollout = await self._attempt(effect.task, attempt)
            if workspace is not None:
                rollout = await handed_in(rollout, workspace)
        return replace(
            rollout,
            key=effect.key,
            task_id=effect.task.id,
            index=effect.occurrence,
            usage=rollout.usage + attempt.usage,
            seconds=time.monotonic() - started,
            length=attempt.length if rollout.length is None else rollout.length,
            thought=rollout.thought or attempt.thought,
            priors=earlier,
            iteration=1 + max((work.load(key, Rollout).iteration for key in earlier), default=-1),
            n_steps=attempt.n_steps,
            trace_bytes=attempt.trace_bytes,
            agent=rollout.agent or _name(self._agent, effect.occurrence),
        )

    async def _attempt(self, task: Task, attempt: OneAttempt) -> Rollout:
        rollout = Rollout(status="limit", error=f"stopped after {attempt.limits.seconds} seconds")
        try:
            with anyio.move_on_after(attempt.limits.seconds), metered(attempt.spend):
                rollout = _storable(await self._agent.run(task, attempt))
        except (Exception, SystemExit) as error:  # a broken rollout is data
            if _is_only(error, INFRA):
                raise
            if _is_only(error, (LimitReached,)):
                return Rollout(status="limit", error="the attempt has passed its own bound")
            return Rollout(status="failed", error=f"{type(error).__name__}: {error}")
        return rollout

    @asynccontextmanager
    async def _workspace(self, task: Task) -> AsyncGenerator[Workspace | None]:
        if self._workspaces is None or not task.repo:
            yield None
            return
        async with self._workspaces.open(task) as workspace:
            yield workspace


def _name(agent: Agent, index: int) -> str:
    """Return who of several agents makes an attempt, "" where there is one only."""
    named = getattr(agent, "named", None)
    return "" if named is None else str(named(index))


def _is_only(error: BaseException, kinds: tuple[type[Exception], ...]) -> bool:
    """Whether an error is of these kinds, or a group of nothing else, as task groups raise it."""
    if isinstance(error, BaseExceptionGroup):
        inner = cast(tuple[BaseException, ...], error.exceptions)  # pyright: ignore[reportUnknownMemberType]
        return all(_is_only(one, kinds) for one in inner)
    return isinstance(error, kinds)


def _storable(rollout: Rollout) -> Rollout:
    """Return an agent's rollout with the finite signals only, since JSON has no others.

    Raises:
        TypeError, ValueError: it cannot be stored.
    """
    if not isinstance(rollout, Rollout):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"an agent returns a Rollout, not {type(rollout).__name__}")
    _check_text(answer=rollout.answer or "", patch=rollout.patch or "", error=rollout.error)
    usage = _checked(rollout.usage)
    if rollout.status not in get_args(Status):
        raise ValueError(
            f"a rollout's status is one of {', '.join(get_args(Status))}, not {rollout.status!r}"
        )
    length = None if rollout.length is None or not isfinite(rollout.length) else float(rollout.length)
    signals = {name: float(x) for name, x in rollout.signals.items() if isfinite(x)}
    return replace(rollout, usage=usage, length=length, signals=signals)


def _check_text(**texts: object) -> None:
    for name, text in texts.items():
        if not isinstance(text, str):
            raise TypeError(f"{name} is text, not {type(text).__name__}")


def _plain(step: Step) -> Step:
    """Return a step in Python's own numbers, which alone can be stored."""
    code = None if step.returncode is None else index(step.returncode)
    seconds, at = float(step.seconds), float(step.at)
    return replace(step, usage=_checked(step.usage), returncode=code, seconds=seconds, at=at)


def _checked(usage: Usage) -> Usage:
    usage = usage.plain
    if not (0 <= usage.known_usd < float("inf") and usage.input_tokens >= 0 and usage.output_tokens >= 0):
        raise ValueError(f"usage is zero or more and finite, not {usage}")
    return usage


def _over(used: float, limit: float | None) -> bool:
    return limit is not None and used > limit
