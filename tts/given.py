"""Attempts that exist already enter a run's store, as if they had ended there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from tts.records import Ending, encode
from tts.scope import StrategyRun
from tts.trace import Use
from tts.types import FREE, Effect, Rollout, Step, digest


async def store_given(
    rollouts: Sequence[Rollout], run: StrategyRun, trajectories: Sequence[Sequence[Step]] = ()
) -> list[Rollout]:
    """Return the rollouts with their keys; what is stored already is not stored again.

    A key comes from the content, so the order in which rollouts are given does not matter. `trajectories`
    holds the steps of each rollout, in the same order, or is empty.
    """
    seen: Counter[str] = Counter()
    placed: list[Rollout] = []
    for i, rollout in enumerate(rollouts):
        steps = tuple(trajectories[i]) if trajectories else ()
        content = digest([rollout.answer, rollout.patch, rollout.status, rollout.length, repr(steps)])
        effect = Effect(
            "rollout",
            run.task,
            Rollout,
            "given",
            params={"content": content},
            occurrence=seen[content],
            bound=FREE,
        )
        seen[content] += 1
        placed.append(await _placed(effect, replace(rollout, index=i), run, steps))
    return placed


async def _placed(
    effect: Effect[Rollout], rollout: Rollout, run: StrategyRun, steps: tuple[Step, ...]
) -> Rollout:
    size = sum(step.n_bytes for step in steps)
    rollout = replace(rollout, key=effect.key, task_id=run.task.id, n_steps=len(steps), trace_bytes=size)
    if run.ledger.store.find(effect.key) is None:
        ending = Ending(
            0,
            rollout.status,
            encode(rollout),
            rollout.usage,
            rollout.seconds,
            (0.0,) * 4,
            rollout.length,
            steps=steps,
        )
        await run.ledger.store.put([(effect, ending)])
    run.uses[effect.key] = Use("given", rollout.usage, rollout.seconds)
    return rollout
