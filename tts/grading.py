"""Grades of what strategies have chosen: made afterwards, each output once, and read by no strategy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import anyio

from tts.flights import Done
from tts.ledger import Ledger
from tts.protocols import Grader, bound_of
from tts.run import Choice
from tts.store import Store
from tts.types import FREE, Budget, Effect, Grade, Rollout, Task


async def grade_choices(
    ledger: Ledger, grader: Grader, task: Task, choices: Sequence[Choice], *, which: str, seed: int
) -> dict[str, Done[Grade]]:
    """Grade each distinct output of the `winners`, or of `all` rollouts that the choices used, once.

    Return how each new grading ended, by the key of its rollout: what this grader has graded before, under
    whichever key, is left alone. Nothing here flows back into a strategy.
    """
    keys = (key for c in choices for key in (c.used if which == "all" else (c.winner,)) if key)
    performer, bound = grader.fingerprint, bound_of(grader)
    graded = _graded(ledger.store, performer, task)
    outputs = _outputs(ledger.store, {*keys, *graded})
    known = {outputs.get(key) for key in graded}
    new: dict[str, str] = {}
    for key in sorted(outputs.keys() - graded):
        output = outputs[key]
        if output and output not in known:
            new.setdefault(output, key)
    done: dict[str, Done[Grade]] = {}

    async def one(key: str) -> None:
        most = FREE if bound == Budget() else bound
        effect = Effect("grade", task, Grade, performer, (key,), seed=seed, bound=most)
        (done[key],) = await ledger.do([effect])

    async with anyio.create_task_group() as group:
        for key in new.values():
            group.start_soon(one, key)
    return done


def _graded(store: Store, performer: str, task: Task) -> set[str]:
    """Return the rollouts of the task of which the grade by a grader of this fingerprint is stored."""
    records = store.records(kind="grade", task_id=task.id)
    return {r.inputs[0] for r in records if r.performer == performer and r.result is not None}


def _outputs(store: Store, keys: Iterable[str]) -> dict[str, str | None]:
    """Return what the stored ones among some rollouts would hand in."""
    return {key: rollout.output for key, rollout in store.results(keys, Rollout)}
