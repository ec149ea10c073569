"""Recorded samples as lanes of a race, growing by their lengths at one speed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tts.types import Rollout


@dataclass(slots=True, eq=False)
class ReplayLane:
    """One recorded sample as it grows; `source` is the whole of it. Implements `tts.protocols.Lane`."""

    source: Rollout
    length: float = 0.0
    ended: bool = False
    stopped: bool = False
    cut: float | None = None

    @property
    def index(self) -> int:
        """Its place among the samples dealt."""
        return self.source.index

    @property
    def full_length(self) -> float:
        """The length at which it ends."""
        return self.source.length or 0.0

    @property
    def thought(self) -> bool:
        """Whether its thinking is over: the recorded length is all thinking."""
        return self.rollout is not None

    @property
    def signals(self) -> Mapping[str, float]:
        """Its signals once it has ended: what they were on the way is not recorded."""
        return self.source.signals if self.rollout is not None else {}

    @property
    def rollout(self) -> Rollout | None:
        """The sample once it has ended; None while it grows, and when it was stopped."""
        return self.source if self.ended and not self.stopped else None

    @property
    def share(self) -> float:
        """The part of the sample that counts, 0 to 1: up to where it is or was cut."""
        reached = self.length if self.cut is None else min(self.cut, self.length)
        return min(1.0, reached / self.full_length) if self.full_length else 1.0

    def stop(self, *, at: float | None = None) -> None:
        """Stop it; it counts as cut at the length `at` (None: where it is), also when it has ended."""
        if not self.stopped:
            self.stopped, self.cut = True, at


class ReplayLanes:
    """Lanes that grow at one speed; implements `tts.protocols.Lanes`.

    News is, in turn, that a lane has ended and that those still running are a hair longer than it was: so a
    stage can stop them at the length that decided the race.
    """

    def __init__(self, lanes: Sequence[ReplayLane]) -> None:
        self._lanes = tuple(lanes)
        self._front = 0.0

    def __iter__(self) -> Iterator[ReplayLane]:
        return iter(self._lanes)

    async def changed(self) -> bool:
        """Go on to the next news; False when every lane has ended or been stopped."""
        running = [lane for lane in self._lanes if not (lane.ended or lane.stopped)]
        if not running:
            return False
        passed = math.nextafter(self._front, math.inf)
        first = min(running, key=lambda lane: lane.full_length)
        ending = first.full_length <= passed or first.length >= passed
        self._front = first.full_length if ending else self._front
        for lane in running:
            lane.length = min(lane.full_length, self._front if ending else passed)
        first.ended = ending
        return True
