"""What runs on a node of the cluster: one effect at a time in each worker process."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio

import tts
from tts.errors import Infra, TtsError, Unusable
from tts.executors.cluster.gates import FarThrottle
from tts.executors.cluster.post import RAY, Letter, Letters
from tts.models.connections import connected
from tts.protocols import Executor
from tts.types import Effect

_loop: asyncio.Runner | None = None
_executors: dict[str, Executor] = {}


@dataclass(frozen=True, slots=True)
class Company:
    """Who plays in a run, pickled; where the run looks for modules; and its version of tts."""

    run: str
    players: bytes
    path: tuple[str, ...]
    version: str

    def executor(self) -> Executor:
        """Return what the players make, once in each process.

        Raises:
            Unusable: this node has another version of tts, or lacks a module of theirs.
        """
        if self.version != tts.__version__:
            raise Unusable(f"a node of the cluster has tts {tts.__version__}, and the run has {self.version}")
        if self.run not in _executors:
            _executors.clear()
            sys.path += [place for place in self.path if place not in sys.path and os.path.isdir(place)]
            _executors[self.run] = self._made()
        return _executors[self.run]

    def _made(self) -> Executor:
        try:
            made: Executor = RAY.cloudpickle.loads(self.players)()
        except (ImportError, AttributeError) as error:
            raise Unusable(
                f"a node of the cluster cannot load a player: {error}; install its package there, or give a "
                "working directory"
            ) from None
        return made


def carry_out(
    post: Any, company: Company, call: int, effects: Sequence[Effect[Any]]
) -> tuple[Sequence[Any] | TtsError, list[Letter], int]:
    """Return the results of effects or the error in their place, the last letters, and how many went before.

    All effects of a process share its event loop and its players, as they do in the run itself.
    """
    global _loop
    _loop = _loop or asyncio.Runner()
    letters = Letters(post, call)
    results: Sequence[Any] | TtsError
    try:
        executor = company.executor()
        letters.began()
        results = _loop.run(_performed(executor, effects, letters))
    except TtsError as error:
        results = error
    except Exception as error:  # noqa: BLE001 - the run hears of it, and of what was used before
        results = Infra(f"on a worker of the cluster: {type(error).__name__}: {error}")
    return results, *letters.close()


async def _performed(executor: Executor, effects: Sequence[Effect[Any]], letters: Letters) -> Sequence[Any]:
    async with connected(partial(FarThrottle, letters)):
        with anyio.CancelScope() as scope:
            beside = [_ended_when_dismissed(scope, letters), letters.leaving()]
            watches = [asyncio.ensure_future(watch) for watch in beside]
            try:
                return await executor.perform(effects, letters)
            finally:
                for watch in watches:
                    watch.cancel()
    raise Infra("the effect was cancelled")


async def _ended_when_dismissed(scope: anyio.CancelScope, letters: Letters) -> None:
    """Cancel what is done here when the run wants it no more, as it would be cancelled in the run itself."""
    await letters.dismissed()
    scope.cancel()
