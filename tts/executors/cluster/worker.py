"""What runs on a node of the cluster: one effect at a time in each worker process."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import tts
from tts.errors import Unusable
from tts.executors.cluster.gates import FarThrottle
from tts.executors.cluster.post import RAY, Letter, Letters
from tts.models.connections import connected
from tts.protocols import Executor
from tts.types import Effect

TURN_SECONDS = 0.1

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
) -> tuple[Sequence[Any], list[Letter], int]:
    """Return the results of effects, the last letters, and how many have been sent before.

    All effects of a process share its event loop and its players, as they do in the run itself.
    """
    global _loop
    _loop = _loop or asyncio.Runner()
    letters, executor = Letters(post, call), company.executor()
    letters.began()
    results = _loop.run(_performed(executor, effects, letters))
    return results, letters.rest, letters.n_sent


async def _performed(executor: Executor, effects: Sequence[Effect[Any]], letters: Letters) -> Sequence[Any]:
    awake = asyncio.ensure_future(_awake())
    try:
        async with connected(partial(FarThrottle, letters)):
            return await executor.perform(effects, letters)
    finally:
        awake.cancel()


async def _awake() -> None:
    """Let the event loop turn: Ray's interrupt only sets a flag, which a loop that waits does not see."""
    while True:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(TURN_SECONDS)
