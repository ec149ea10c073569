"""What a run on one task has come to by now: its attempts, and the matches among them."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from tts.events import Ended, Event, Found, Listener
from tts.protocols import Agent, Attempt
from tts.store import Store
from tts.types import Rollout, Step, Task, Verdict

PRIME = "′"

Name = tuple[int, int]
"""An attempt's index and iteration."""


def named(index: int, iteration: int) -> str:
    """Return the short name of an attempt: `#3`, with a prime for every refinement."""
    return f"#{index}{PRIME * iteration}"


@dataclass(slots=True)
class Running:
    """An attempt under way."""

    steps: int = 0
    started: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Ranked:
    """The votes on one group: its round from 1, and votes by attempt's name."""

    round: int
    votes: tuple[tuple[str, int], ...]


@dataclass(slots=True)
class Board:
    """Listens to a run, and reads its store for what has ended."""

    performer: str = ""
    running: dict[Name, Running] = field(default_factory=dict[Name, Running])
    ended: tuple[Rollout, ...] = ()
    matches: tuple[Ranked, ...] = ()
    store: Store | None = None

    def reading(self, store: Store) -> AbstractContextManager[Listener]:
        """Return a listener that keeps the board up to date from a store."""
        self.store = store
        self.refresh()
        return nullcontext(self.hear)

    def hear(self, event: Event) -> None:
        """Take note that something has happened."""
        if isinstance(event, (Ended, Found)) and event.kind in ("rollout", "verdict"):
            self.refresh(event.kind)

    def refresh(self, kind: str = "rollout") -> None:
        """Read what is stored: the attempts, or only the votes among those that are known."""
        if self.store is None:
            return
        if kind == "rollout":
            records = [r for r in self.store.records(kind="rollout") if r.result is not None]
            rollouts = [r.read(Rollout) for r in records if r.performer == self.performer]
            self.ended = tuple(sorted(rollouts, key=lambda r: (r.iteration, r.index)))
        names = {r.key: named(r.index, r.iteration) for r in self.ended}
        votes = [r.read(Verdict) for r in self.store.records(kind="verdict") if r.result is not None]
        self.matches = tuple(ranked([v for v in votes if names.keys() >= set(v.shown)], names))

    @contextmanager
    def attempting(self, name: Name) -> Generator[Running]:
        """Have an attempt on the board while it is made."""
        running = self.running[name] = Running()
        try:
            yield running
        finally:
            del self.running[name]


def ranked(verdicts: Sequence[Verdict], names: dict[str, str]) -> Iterator[Ranked]:
    """Yield the votes by group in the order in which the groups met."""
    groups: dict[frozenset[str], dict[str, int]] = {}
    for verdict in verdicts:
        votes = groups.setdefault(frozenset(verdict.shown), dict.fromkeys(sorted(verdict.shown), 0))
        if verdict.preferred in votes:
            votes[verdict.preferred] += 1
    last: dict[str, int] = {}
    for group, votes in groups.items():
        number = 1 + max((last.get(key, 0) for key in group), default=0)
        last |= dict.fromkeys(group, number)
        pairs = sorted(votes.items(), key=lambda pair: (-pair[1], names[pair[0]]))
        yield Ranked(number, tuple((names[key], n) for key, n in pairs))


class Counted:
    """An attempt that tells a board of its steps."""

    def __init__(self, attempt: Attempt, running: Running) -> None:
        self._attempt = attempt
        self._running = running

    def record(self, step: Step) -> None:
        """Add a step."""
        self._running.steps += 1
        self._attempt.record(step)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._attempt, name)


@dataclass(frozen=True, slots=True)
class Shown:
    """An agent whose attempts are on a board while they are made; its identity stays the agent's own."""

    agent: Agent
    board: Board

    @property
    def fingerprint(self) -> str:
        """The agent's."""
        return self.agent.fingerprint

    async def run(self, task: Task, attempt: Attempt) -> Rollout:
        """Return the agent's rollout."""
        with self.board.attempting((attempt.index, int(bool(attempt.priors)))) as running:
            counted: Any = Counted(attempt, running)
            return await self.agent.run(task, counted)

    def __getattr__(self, name: str) -> Any:
        """Return the agent's own `bound`, `bound_for` or `ready`, where it has one."""
        if name in ("bound", "bound_for", "ready", "named", "templates"):
            return getattr(self.agent, name)
        raise AttributeError(name)
