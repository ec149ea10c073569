"""Typed events of a run, which progress bars, logs and traces listen to."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from tts.types import Status, Usage

log = logging.getLogger("tts")


@dataclass(frozen=True, slots=True)
class Found:
    """An effect was already stored and is not done again."""

    kind: str
    task_id: str


@dataclass(frozen=True, slots=True)
class Started:
    """An effect is being performed."""

    kind: str
    task_id: str


@dataclass(frozen=True, slots=True)
class Ended:
    """An effect has ended and is on disk."""

    kind: str
    task_id: str
    status: Status
    usage: Usage
    seconds: float


@dataclass(frozen=True, slots=True)
class RefusedEffect:
    """An effect was not started; `reason` names the limit."""

    kind: str
    task_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """A strategy has chosen on a task; `error` is set when one of its stages raised."""

    task_id: str
    strategy: str
    incomplete: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """All strategies have chosen on a task, and the grades are in."""

    task_id: str


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something the user should know that stops nothing."""

    message: str


Event: TypeAlias = Found | Started | Ended | RefusedEffect | Chosen | TaskEnded | Noticed
Listener: TypeAlias = Callable[[Event], None]


class Events:
    """Hands each event to every listener; a listener that raises is logged and harms nobody."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = list(listeners)

    def listen(self, listener: Listener) -> None:
        """Add a listener."""
        self._listeners.append(listener)

    def emit(self, event: Event) -> None:
        """Call every listener with the event."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:  # a progress bar must not end a paid run
                log.exception("an event listener failed on %s", type(event).__name__)
