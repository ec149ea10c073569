"""Keeps predictions and trajectories beside a run's database, as the tasks end."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tts.events import Event, TaskEnded
from tts.formats.files import write_json
from tts.formats.mini import document
from tts.formats.names import escaped
from tts.formats.preds import write
from tts.formats.recorded import recorded
from tts.run import Choice, Run
from tts.store import Store
from tts.types import Rollout, digest

SHARE = 0.05
"""The most of the time that writing predictions may take while the run goes on."""


def file_name(text: str) -> str:
    """Return a name for a file: as it is where it is plain, else what is plain of it and a hash."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,79}", text):
        return text
    plain = re.sub(r"[^A-Za-z0-9_.@+-]+", "_", text).strip("._-")[:60]
    return f"{plain or 'strategy'}-{digest(text)[:8]}"


def is_prediction(choice: Choice) -> bool:
    """Whether a choice is to be handed in: not one that a stop, an error or an empty budget left open."""
    return not (choice.unfinished or choice.error or (choice.incomplete and not choice.used))


def patches_of(run: Run, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return what each strategy hands in, by strategy and task: the winner's patch, "" without one."""
    found: dict[str, dict[str, str]] = {name: {} for name in names}
    for choice in run.current_choices():
        if choice.strategy in found and is_prediction(choice):
            found[choice.strategy][choice.task_id] = _patch(run.store, choice.winner)
    return found


def _patch(store: Store, key: str) -> str:
    record = store.find(key) if key else None
    return record.read(Rollout).output or "" if record else ""


@dataclass(slots=True)
class Predictions:
    """Writes `preds/<strategy>.json`, one a strategy, when enough time has passed since it last did."""

    run: Run
    folder: Path
    names: Sequence[str]
    model: str
    clock: Callable[[], float] = time.monotonic
    due: float = 0.0
    n_written: int = 0

    def __call__(self, event: Event) -> None:
        """Write where a task has ended and it is time."""
        if isinstance(event, TaskEnded) and self.clock() >= self.due:
            self.write()

    def write(self) -> None:
        """Write all files; each is replaced as a whole."""
        started = self.clock()
        for name, patches in patches_of(self.run, self.names).items():
            write(self.folder / f"{file_name(name)}.json", patches, f"{self.model}+{file_name(name)}")
        self.n_written += 1
        self.due = self.clock() + (self.clock() - started) / SHARE


@dataclass(frozen=True, slots=True)
class Trajectories:
    """Writes `trajs/<task>/<n>.traj.json` of a task's rollouts once the task has ended.

    `n` is the rollout's index; where an earlier one of the task has it, the key's beginning is added.
    """

    run: Run
    folder: Path
    agent: str

    def __call__(self, event: Event) -> None:
        """Write those of the task that has ended."""
        if isinstance(event, TaskEnded):
            self.write(event.task_id)

    def write(self, task_id: str) -> None:
        """Write what is missing of a task, one rollout in memory at a time."""
        taken: set[str] = set()
        for record in self.run.store.records(kind="rollout", task_id=task_id):
            if record.result is not None:
                rollout = record.read(Rollout)
                name = str(rollout.index)
                name += f"-{rollout.key[:8]}" * (name in taken)
                taken.add(name)
                self._one(rollout, self.folder / escaped(task_id) / f"{name}.traj.json")

    def _one(self, rollout: Rollout, path: Path) -> None:
        if not path.exists():
            steps = self.run.steps(rollout.key)
            attempt = recorded(rollout.task_id, rollout, steps, sample=rollout.index, agent=self.agent)
            write_json(path, document(attempt))
