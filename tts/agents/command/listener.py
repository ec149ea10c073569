"""Hears a program's output line by line and turns it into the steps and the bill of an attempt."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import cast

from tts.agents.command.bill import Bill
from tts.agents.command.formats import read
from tts.agents.command.said import Object, Said
from tts.errors import LimitReached
from tts.hostile import cut
from tts.models.secrets import scrubbed
from tts.protocols import Attempt
from tts.types import Step

JSON_CHARS = 4_000_000
"""A longer line is text, whatever it begins with."""

LINES = 40
LINES_CHARS = 8_000
"""Plain lines make one step until there are so many, or so much text."""

FIELD_CHARS = 16_000
"""Of one text of a step; what is over is cut from its middle, with a note."""

TRACE_BYTES = 16 * 1024 * 1024
STEPS = 10_000
"""Of one attempt; later output is not kept, and the last step says so."""

OPEN_CALLS = 64
ANSWER_CHARS = 20_000


@dataclass(slots=True, eq=False)
class Listener:
    """What was heard so far. No step has a return code: a program's own account of it is a claim.

    A limit of the attempt that is passed is kept as `error`, and then `stop` is called. `started` is False
    for a program that could not be started: it cost nothing.
    """

    attempt: Attempt
    stop: Callable[[], None]
    bill: Bill = field(init=False)
    error: LimitReached | None = None
    started: bool = True
    began: float = field(default_factory=time.time)
    answer: str = ""
    answering: bool = False
    n_steps: int = 0
    n_bytes: int = 0
    full: bool = False
    lines: list[str] = field(default_factory=list[str])
    last: deque[str] = field(default_factory=lambda: deque[str](maxlen=LINES))
    thought: str = ""
    calls: dict[str, Step] = field(default_factory=dict[str, Step])

    def __post_init__(self) -> None:
        self.bill = Bill(self.attempt)

    def __call__(self, line: str) -> None:
        """Hear a line of standard output, without its end."""
        if self.error is not None:
            self._settle(line)
            return
        try:
            self._hear(line)
        except LimitReached as error:
            self.error = error
        if self.error is not None:
            self.stop()

    def leave(self) -> None:
        """Record what is not recorded yet, and close the bill; to be called once, at the end of any kind."""
        while self.calls:
            self._record(self.calls.pop(next(iter(self.calls))))
        self._end_thought()
        self._end_text()
        try:
            if self.started or self.bill.sessions:
                self.bill.close()
        except LimitReached as error:
            self.error = self.error or error

    def said_last(self) -> str | None:
        """Return the final message, or the last lines where the program's format has none."""
        return cut(scrubbed(self.answer or "\n".join(self.last)), ANSWER_CHARS) or None

    def note(self, text: str) -> None:
        """Record a text as a step of its own."""
        self._record(Step(observation=text))

    def _hear(self, line: str) -> None:
        said = _read(line)
        if said is None:
            self._text(line)
            return
        self._end_text()
        for one in said:
            self._take(one)

    def _settle(self, line: str) -> None:
        """Hear what a program that is stopped says of its bill."""
        for said in _read(line) or ():
            if said.figures is not None:
                with suppress(LimitReached):
                    self.bill.enter(said.session)
                    self.bill.add(said.figures)

    def _text(self, line: str) -> None:
        short = line if len(line) <= FIELD_CHARS else _kept(line)
        self._end_thought()
        self.last.append(short)
        if self.full:
            return
        self.lines.append(short)
        if len(self.lines) >= LINES or sum(map(len, self.lines)) >= LINES_CHARS:
            self._end_text()

    def _take(self, said: Said) -> None:
        self.bill.enter(said.session)
        if said.thought or said.answer:
            self._think(said)
        if said.action:
            self._act(said)
        elif said.observation:
            self._observe(said)
        if said.figures is not None:
            self.bill.add(said.figures)

    def _think(self, said: Said) -> None:
        goes_on = said.more and self.answering == bool(said.answer)
        if said.answer:
            self.answer = (self.answer + said.answer if goes_on else said.answer)[-ANSWER_CHARS:]
        self.answering = bool(said.answer)
        if said.thought:
            self.thought += ("" if goes_on or not self.thought else "\n\n") + said.thought
        if len(self.thought) > FIELD_CHARS:
            self._end_thought()

    def _act(self, said: Said) -> None:
        step = Step(thought=self.thought, action=said.action, observation=said.observation)
        self.thought, self.answering = "", False
        if said.observation or not said.call:
            self._record(step)
            return
        if len(self.calls) >= OPEN_CALLS:
            self._record(self.calls.pop(next(iter(self.calls))))
        self.calls[said.call] = _shortened(step)

    def _observe(self, said: Said) -> None:
        self.answering = False
        step = self.calls.pop(said.call, None)
        if step is None:
            self._end_thought()
            step = Step()
        self._record(replace(step, observation=said.observation))

    def _end_text(self) -> None:
        told, self.lines = "\n".join(self.lines), []
        if told.strip():
            self._record(Step(observation=told))

    def _end_thought(self) -> None:
        told, self.thought = self.thought, ""
        if told.strip():
            self._record(Step(thought=told))

    def _record(self, step: Step) -> None:
        if self.full:
            return
        kept = _shortened(step)
        self.n_steps += 1
        self.n_bytes += kept.n_bytes
        self.full = self.n_steps >= STEPS or self.n_bytes >= TRACE_BYTES
        if self.full:
            kept = Step(observation="[later output was not kept: there is too much of it]")
        now = time.time()
        kept, self.began = replace(kept, at=self.began, seconds=max(0.0, now - self.began)), now
        try:
            self.attempt.record(kept)
        except LimitReached as error:
            self.error = self.error or error
        self.attempt.progress(float(self.n_steps))


def _read(line: str) -> list[Said] | None:
    """Return what a line of JSON says, None for any other line."""
    if line.lstrip()[:1] != "{" or len(line) > JSON_CHARS:
        return None
    try:
        found: object = json.loads(line)
        return read(cast("Object", found)) if isinstance(found, dict) else None
    except (ValueError, RecursionError):  # No JSON; a number of too many digits; objects too deep.
        return None


def _shortened(step: Step) -> Step:
    thought, action, observation = map(_kept, (step.thought, step.action, step.observation))
    return Step(thought=thought, action=action, observation=observation)


def _kept(text: str) -> str:
    return cut(scrubbed(text), FIELD_CHARS) if text else ""
