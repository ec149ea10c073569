"""Carries out effects in this process: a table from kind to runner."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar, cast

from tts.errors import UsageError
from tts.protocols import Agent, Executor, Grader, Judge, Runner, Summarizer, Tester, Work, Workspaces
from tts.types import Effect

from .distil import DistilRunner
from .evidence import EvidenceRunner
from .execute import ExecuteRunner
from .generate import GenerateRunner
from .grade import GradeRunner
from .readiness import Readiness
from .rollout import RolloutRunner
from .summary import SummaryRunner
from .verdict import VerdictRunner

T = TypeVar("T")


class LocalExecutor:
    """Hands each effect to the runner of its kind, once everybody has said that they are ready."""

    def __init__(self, runners: Mapping[str, Runner], readiness: Readiness | None = None) -> None:
        self._runners = dict(runners)
        self._readiness = readiness or Readiness(())

    async def perform(self, effects: Sequence[Effect[T]], work: Work) -> Sequence[T]:
        """Return one result per effect.

        Raises:
            UsageError: no runner is there for this kind.
            Unusable: somebody who plays a role cannot.
        """
        kind = effects[0].kind
        if kind not in self._runners:
            raise UsageError(
                f"nothing here can do the effect {kind!r}; there is {', '.join(sorted(self._runners))}"
            )
        if kind != "grade":
            await self._readiness.check()
        return cast(Sequence[T], await self._runners[kind].perform(effects, work))


class Here:
    """Effects are carried out in the process of the run; implements `tts.protocols.Executors`."""

    @asynccontextmanager
    async def open(self, players: Callable[[], Executor]) -> AsyncGenerator[Executor]:
        """Return what `players` makes."""
        yield players()


def local(
    agent: Agent | None = None,
    *,
    summarizer: Summarizer | None = None,
    judge: Judge | None = None,
    tester: Tester | None = None,
    grader: Grader | None = None,
    workspaces: Workspaces | None = None,
) -> LocalExecutor:
    """Return the executor with the built-in kinds, as far as there is somebody to perform them."""
    runners: dict[str, Runner] = {}
    if agent is not None:
        runners["rollout"] = RolloutRunner(agent, workspaces)
    if summarizer is not None:
        runners["summary"] = SummaryRunner(summarizer)
        runners["distil"] = DistilRunner(summarizer)
    if judge is not None:
        runners["verdict"] = VerdictRunner(judge)
    if tester is not None:
        runners["generate"] = GenerateRunner(tester)
        runners["execute"] = ExecuteRunner(tester)
        runners["evidence"] = EvidenceRunner()
    if grader is not None:
        runners["grade"] = GradeRunner(grader)
    return LocalExecutor(runners, Readiness((agent, summarizer, judge, tester)))
