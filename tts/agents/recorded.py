"""An agent that makes no attempts but hands out those of a pool, so that strategies select among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio.to_thread

from tts.errors import UsageError
from tts.formats import atif, pool
from tts.formats.files import count, mapping, number, parsed, read_bytes, shown
from tts.formats.recorded import Recorded, rest_of
from tts.protocols import Attempt
from tts.types import Budget, Rollout, Task

HANDING_OUT_SECONDS = 60.0
"""The most that it takes to read one attempt."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """What is known of a sample without reading its trajectory; None where it is not known."""

    usd: float | None
    tokens: int


@dataclass(slots=True, eq=False)
class RecordedAgent:
    """The attempts of the pool in `folder`: attempt i at a task is the task's sample i.

    Its identity is the pool's own name, so adding to a pool changes the key of nothing that is in it. Its
    steps, status and usage are those recorded; how long it took is not, since time is measured anew.

    Raises:
        UsageError: the folder holds no pool.
    """

    folder: Path
    fingerprint: str = field(init=False)
    _seen: tuple[int, ...] = field(init=False, default=())
    _samples: dict[str, dict[int, _Sample]] = field(init=False, default_factory=dict[str, dict[int, _Sample]])

    def __post_init__(self) -> None:
        self.folder = Path(self.folder)
        self.fingerprint = f"recorded:{pool.name_of(self.folder)}"

    async def run(self, task: Task, attempt: Attempt) -> Rollout:
        """Return the recorded attempt.

        Raises:
            UsageError: there is none of that number, or it was asked for something new.
        """
        if attempt.priors:
            raise UsageError("a recorded pool makes no new attempts, so nothing can be refined with it")
        if attempt.workspace is not None:
            raise UsageError("a recorded pool works in no workspace: give it tasks without a repository")
        found = await anyio.to_thread.run_sync(self.sample, task.id, attempt.index)
        for step in found.steps:
            attempt.record(step)
        return replace(found.rollout, usage=rest_of(found.rollout.usage, found.steps))

    def sample(self, task_id: str, index: int) -> Recorded:
        """Return a sample with its trajectory.

        Raises:
            UsageError: there is none of that number.
        """
        known = self._index().get(task_id, {})
        if index not in known:
            raise UsageError(
                f"the pool {shown(self.folder)} has {len(known)} samples of {shown(task_id)}, none of them of"
                f" number {index}, counted from 0"
            )
        path = pool.trajectory_path(self.folder, task_id, index)
        return atif.read(mapping(parsed(read_bytes(path), shown(path))), path)

    def bound_for(self, task: Task, read: Sequence[Any]) -> Budget:
        """Return the most that one of the task's samples used; None for dollars that nobody knows."""
        known = list(self._index().get(task.id, {}).values())
        prices = [sample.usd for sample in known]
        usd = max((price for price in prices if price is not None), default=0.0)
        tokens = max((sample.tokens for sample in known), default=0)
        return Budget(None if None in prices else usd, tokens, HANDING_OUT_SECONDS)

    async def ready(self) -> None:
        """Return when the pool can be read.

        Raises:
            UsageError: it cannot, or holds nothing.
        """
        if not await anyio.to_thread.run_sync(self._index):
            raise UsageError(f"the pool {shown(self.folder)} holds no samples: import some into it")

    def _index(self) -> dict[str, dict[int, _Sample]]:
        """Return the samples by task and number, read again when the pool has grown."""
        path = self.folder / pool.LINES
        try:
            told = path.stat()
        except OSError as error:
            raise UsageError(f"cannot read {shown(path)}: {error.strerror}") from None
        seen = (told.st_ino, told.st_mtime_ns, told.st_size)
        if seen != self._seen:
            samples: dict[str, dict[int, _Sample]] = {}
            for line in pool.lines(self.folder):
                samples.setdefault(line["task_id"], {})[line["sample"]] = _sample(line)
            self._samples, self._seen = samples, seen
        return self._samples


def _sample(line: dict[str, Any]) -> _Sample:
    cost = line.get("cost_usd")
    tokens = count(line.get("input_tokens")) + count(line.get("output_tokens"))
    return _Sample(None if cost is None else number(cost), tokens)
