"""mini-swe-agent's turns as steps: what was said, what was run, how it ended, what it cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from anyio import from_thread

from tts.models.secrets import scrubbed
from tts.protocols import Attempt
from tts.sandboxes.box import Box, Order
from tts.types import Step, Usage

T = TypeVar("T")

LONGEST_COMMAND = 131_072
"""In bytes: what Linux takes as one argument of a program."""

WHY: Mapping[str, str] = {
    "timeout": "it timed out after {seconds:g} seconds",
    "memory": "it used more memory than it may",
    "processes": "it started more processes than it may",
    "size": "it wrote more than it may",
}


def waited(function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
    """Return, in mini's thread, what a coroutine returns in the event loop; stops where cancelled."""
    from_thread.check_cancelled()
    return from_thread.run(function, *arguments)


@dataclass(slots=True, eq=False)
class Turn:
    """What is known of the turn under way."""

    at: float = field(default_factory=time.time)
    started: float = field(default_factory=time.monotonic)
    answered: bool = False
    thought: str = ""
    actions: list[str] = field(default_factory=list[str])
    outputs: list[str] = field(default_factory=list[str])
    returncode: int | None = None
    usage: Usage = Usage()

    def step(self) -> Step:
        """Return the turn as a step; the return code is that of its last command."""
        return Step(
            thought=scrubbed(self.thought),
            action=scrubbed("\n".join(self.actions)),
            observation=scrubbed("\n".join(self.outputs)),
            returncode=self.returncode,
            usage=self.usage,
            seconds=time.monotonic() - self.started,
            at=self.at,
        )


@dataclass(slots=True, eq=False)
class Telling:
    """Tells an attempt, from mini's thread, of each turn as it ends."""

    attempt: Attempt
    turn: Turn = field(default_factory=Turn)
    n_steps: int = 0
    lost_bytes: int = 0

    def begin(self) -> None:
        """A turn begins."""
        self.turn = Turn()

    def answered(self, text: str, thinking: str) -> None:
        """The model has answered."""
        self.turn.answered = True
        self.turn.thought = "\n\n".join(part for part in (thinking, text) if part)

    def paid(self, usage: Usage) -> None:
        """The turn has cost this."""
        self.turn.usage = self.turn.usage + usage

    def observed(self, text: str) -> None:
        """The model is told something that no command printed."""
        self.turn.outputs.append(text)

    def end(self) -> None:
        """Record the turn; what an unanswered one cost is paid all the same.

        Raises:
            LimitReached: the attempt has passed its limit.
        """
        turn, self.turn = self.turn, Turn()
        if turn.answered:
            self.n_steps += 1
            from_thread.run_sync(self.attempt.progress, float(self.n_steps))
            from_thread.run_sync(self.attempt.record, turn.step())
        elif turn.usage != Usage():
            from_thread.run_sync(self.attempt.spend, turn.usage)


@dataclass(frozen=True, slots=True)
class Shell:
    """Runs mini's commands in a box, as `shape` makes orders of them, and tells of each."""

    box: Box
    telling: Telling
    shape: Callable[[str], Order]

    def run(self, command: str, seconds: float) -> dict[str, Any]:
        """Return what mini-swe-agent's environments return for a command.

        Raises:
            Infra: the sandbox could not be started.
        """
        turn = self.telling.turn
        turn.actions.append(command)
        turn.returncode = None
        if wrong := _unfit(command):
            turn.outputs.append(f"[not run: {wrong}]")
            return _untold("", wrong, "OSError")
        ran = waited(self.box.run, replace(self.shape(command), seconds=seconds))
        why = WHY.get(ran.ended, "").format(seconds=seconds)
        turn.returncode = ran.returncode
        turn.outputs.append("\n".join(part for part in (ran.output, why and f"[stopped: {why}]") if part))
        self.telling.lost_bytes = ran.lost_bytes
        if not why:
            return {"output": ran.output, "returncode": ran.returncode, "exception_info": ""}
        kind = "TimeoutExpired" if ran.ended == "timeout" else "Stopped"
        return _untold(ran.output, f"Command {command!r} was stopped: {why}", kind)


def _unfit(command: str) -> str:
    """Why the system takes no such command, "" where it does."""
    size = len(command.encode("utf-8", "surrogatepass"))
    if size >= LONGEST_COMMAND:
        return f"Argument list too long: {size} bytes"
    if "\0" in command:
        return "embedded null byte"
    return "" if command == command.encode("utf-8", "replace").decode() else "the command is no UTF-8 text"


def _untold(output: str, told: str, kind: str) -> dict[str, Any]:
    """What mini-swe-agent's environments return for a command that came to no end of its own."""
    return {
        "output": output,
        "returncode": -1,
        "exception_info": f"An error occurred while executing the command: {told}",
        "extra": {"exception_type": kind, "exception": told},
    }
