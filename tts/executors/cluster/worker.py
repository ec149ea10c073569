"""What runs on a node of the cluster: one effect at a time in each worker process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import tts
from tts.errors import Unusable
from tts.executors.cluster.post import Letter, Letters
from tts.models.connections import connected
from tts.protocols import Executor
from tts.types import Effect

TURN_SECONDS = 0.1

_loop: asyncio.Runner | None = None
_executors: dict[str, Executor] = {}


def carry_out(
    post: Any,
    run: str,
    call: int,
    players: Callable[[], Executor],
    effects: Sequence[Effect[Any]],
    version: str,
) -> tuple[Sequence[Any], list[Letter], int]:
    """Return the results of effects, the last letters, and how many have been sent before.

    All effects of a process share its event loop and, by `run`, its players, as they do in the run itself.

    Raises:
        Unusable: this node has another version of tts.
    """
    global _loop
    if version != tts.__version__:
        raise Unusable(f"a node of the cluster has tts {tts.__version__}, and the run has {version}")
    _loop = _loop or asyncio.Runner()
    if run not in _executors:
        _executors.clear()
        _executors[run] = players()
    letters = Letters(post, call)
    letters.began()
    results = _loop.run(_performed(_executors[run], effects, letters))
    return results, letters.rest, letters.n_sent


async def _performed(executor: Executor, effects: Sequence[Effect[Any]], letters: Letters) -> Sequence[Any]:
    awake = asyncio.ensure_future(_awake())
    try:
        async with connected():
            return await executor.perform(effects, letters)
    finally:
        awake.cancel()


async def _awake() -> None:
    """Let the event loop turn: Ray's interrupt only sets a flag, which a loop that waits does not see."""
    while True:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(TURN_SECONDS)
