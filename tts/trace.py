"""What a strategy did on a task: the cost it would have had alone, and the trace of its stages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tts.types import Task, Usage, digest


class Point(NamedTuple):
    """How far along its longest path a strategy is: in seconds, and in tokens (input plus output)."""

    seconds: float = 0.0
    tokens: int = 0


def latest(points: Iterable[Point]) -> Point:
    """Return the latest of some points, seconds and tokens each on their own; the start without any."""
    listed = [Point(), *points]
    return Point(max(p.seconds for p in listed), max(p.tokens for p in listed))


@dataclass(frozen=True, slots=True)
class Use:
    """An effect that a strategy used. `finish` is its end on the strategy's own clock.

    That clock knows no queue: an effect starts when its inputs, its stage and the verdicts that led to it
    are there, so the latest finish is the critical path with machines enough.
    """

    kind: str
    usage: Usage
    seconds: float
    finish: Point = Point()


@dataclass(frozen=True, slots=True)
class Spending:
    """What a strategy would have cost alone.

    `summaries` counts distillations too. `seconds` are summed; `critical_seconds` and `critical_tokens`
    (input plus output) are those on the longest path.
    """

    rollouts: int = 0
    summaries: int = 0
    verdicts: int = 0
    usage: Usage = Usage()
    seconds: float = 0.0
    critical_seconds: float = 0.0
    critical_tokens: int = 0

    @classmethod
    def of(cls, uses: Iterable[Use]) -> Spending:
        """Return the cost of the effects used, each counted once."""
        listed = list(uses)
        kinds = [use.kind for use in listed]
        end = latest(use.finish for use in listed)
        return cls(
            rollouts=kinds.count("rollout"),
            summaries=kinds.count("summary") + kinds.count("distil"),
            verdicts=kinds.count("verdict"),
            usage=sum((use.usage for use in listed), Usage()),
            seconds=sum(use.seconds for use in listed),
            critical_seconds=end.seconds,
            critical_tokens=end.tokens,
        )


@dataclass(frozen=True, slots=True)
class Match:
    """One comparison: who met, and the votes for each, in the same order."""

    group: tuple[str, ...]
    votes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StageTrace:
    """One stage: the pool it got, the comparisons it asked for, in their order, and the pool it gave."""

    label: str
    given: tuple[str, ...] = ()
    matches: tuple[Match, ...] = ()
    returned: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class OpenTrace:
    """A stage's trace while it runs."""

    label: str
    given: tuple[str, ...] = ()
    matches: list[Match] = field(default_factory=list[Match])

    def close(self, returned: tuple[str, ...]) -> StageTrace:
        """Return the finished trace."""
        return StageTrace(self.label, self.given, tuple(self.matches), returned)


def setting(task: Task, seed: int, performers: Mapping[str, str]) -> str:
    """Return a hash of what a choice rests on besides the strategy: task, seed and fingerprints by role."""
    roles = {
        name: performers[name] for name in ("agent", "summarizer", "judge", "tester") if name in performers
    }
    return digest([task.digest, seed, roles])
