"""A strategy is a pipeline: stages in a row."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Iterator
from dataclasses import MISSING, fields, is_dataclass, replace
from typing import Any, TypeVar

import anyio

from tts.errors import Refused
from tts.protocols import Scope, Stage
from tts.types import Pool

T = TypeVar("T")

LATER_SHARE = 0.15
"""The share of what remains that a stage leaves to later stages that need any, so that sampling cannot
starve selection."""


class Pipeline:
    """Stages in a row; a stage itself, so pipelines nest. Write it as `Pipeline(Sample(16), RTV())`.

    A stage that is refused what it cannot do without leaves the pool as it was, marked incomplete.
    """

    def __init__(self, *stages: Stage, name: str = "") -> None:
        self.stages = stages
        self.name = name or str(self)

    def __str__(self) -> str:
        return " | ".join(label(stage) for stage in self.stages)

    def __repr__(self) -> str:
        return f"Pipeline({self})"

    @property
    def free(self) -> bool:
        """Whether no stage asks for anything that costs."""
        return all(is_free(stage) for stage in self.stages)

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the pool that the last stage returns."""
        for i, stage in enumerate(self.stages):
            later = self.stages[i + 1 :]
            keep = 0.0 if all(is_free(one) for one in later) else LATER_SHARE
            keep_rollouts = keep if any("agent" in needs(one) for one in later) else 0.0
            try:
                inner = scope.enter(pool, label=label(stage), keep=keep, keep_rollouts=keep_rollouts)
                pool = await stage(pool, inner)
            except* Refused:
                pool = replace(pool, incomplete=True)
        return pool


def flat(stage: Stage) -> Iterator[Stage]:
    """Yield a stage, or those of a pipeline, however deep."""
    if isinstance(stage, Pipeline):
        for inner in stage.stages:
            yield from flat(inner)
    else:
        yield stage


def needs(stage: Stage) -> set[str]:
    """Return the roles that a stage names in its attribute `needs`; a pipeline those of its stages."""
    return {name for one in flat(stage) for name in getattr(one, "needs", ())}


def suites(stage: Stage) -> set[str]:
    """Return the kinds of tests that a stage names in its attribute `suites`, as `needs` does."""
    return {kind for one in flat(stage) for kind in getattr(one, "suites", ())}


def is_free(stage: Stage) -> bool:
    """Return whether a stage says, by an attribute `free`, that it asks for nothing that costs."""
    return bool(getattr(stage, "free", False))


def label(stage: Stage) -> str:
    """Return a stage as strategy text: its name and the parameters that are not the defaults."""
    if isinstance(stage, Pipeline):
        return f"({stage})"
    name = getattr(stage, "name", "") or type(stage).__name__.lower()
    return f"{name}({', '.join(_parameters(stage))})"


def _parameters(stage: object) -> Iterable[str]:
    if not is_dataclass(stage):
        return
    for field in fields(stage):
        value: Any = getattr(stage, field.name)
        default = field.default if field.default_factory is MISSING else field.default_factory()
        if field.default is MISSING and field.default_factory is MISSING:
            yield str(value)
        elif value != default:
            yield f"{field.name}={getattr(value, '__qualname__', None) or repr(value)}"


async def gather(*awaitables: Awaitable[T]) -> list[T]:
    """Return the results of awaitables that run at the same time, in their order."""
    results: dict[int, T] = {}

    async def run(i: int, awaitable: Awaitable[T]) -> None:
        results[i] = await awaitable

    async with anyio.create_task_group() as group:
        for i, awaitable in enumerate(awaitables):
            group.start_soon(run, i, awaitable)
    return [results[i] for i in range(len(awaitables))]
