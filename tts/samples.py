"""The nouns of replay: recorded samples of a task, what they cost, and what an estimator makes of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

from tts.errors import UsageError


@dataclass(frozen=True, slots=True)
class Cost:
    """What something costs, or is expected to; None means unknown, 0 means nothing.

    `critical_seconds` is the time when all that can run at once does; `critical_tokens` are the tokens on the
    longest path of what waits for what.
    """

    calls: float | None = 0.0
    input_tokens: float | None = 0.0
    cached_input_tokens: float | None = 0.0
    output_tokens: float | None = 0.0
    usd: float | None = 0.0
    critical_seconds: float | None = 0.0
    critical_tokens: float | None = None


ADDITIVE = ("calls", "input_tokens", "cached_input_tokens", "output_tokens", "usd")
"""The fields of a Cost that add up over effects, whether these run one after another or at once."""


def total_cost(costs: Sequence[Cost]) -> Cost:
    """Return the cost of all one after another: sums, None where a part is unknown."""
    return Cost(**{f.name: known_sum([getattr(c, f.name) for c in costs]) for f in fields(Cost)})


def mean_cost(costs: Sequence[Cost]) -> Cost:
    """Return the mean of each part, None where one is unknown or there are no costs."""
    if not costs:
        return Cost(None, None, None, None, None, None)
    whole = total_cost(costs)
    parts = {f.name: getattr(whole, f.name) for f in fields(Cost)}
    return Cost(**{name: None if v is None else v / len(costs) for name, v in parts.items()})


def known_sum(values: Sequence[float | None]) -> float | None:
    """Return the sum, or None where a value is unknown."""
    known = [v for v in values if v is not None]
    return math.fsum(known) if len(known) == len(values) else None


@dataclass(frozen=True, slots=True)
class Sample:
    """One recorded attempt.

    `number` is its place in the recording. `correct` is its grade in [0, 1]. `score` is a verifier's, on any
    scale, more being better. `length` is its thinking, in any unit. `calls` counts 1 where the recording
    does not say. `agent` names who made it. None: not recorded.
    """

    number: int
    answer: str | None = None
    patch: str | None = None
    correct: float | None = None
    score: float | None = None
    length: float | None = None
    calls: float | None = 1.0
    input_tokens: float | None = None
    cached_input_tokens: float | None = None
    output_tokens: float | None = None
    usd: float | None = None
    seconds: float | None = None
    agent: str = ""

    @property
    def output(self) -> str | None:
        """The patch or, without one, the answer; None when there is neither."""
        return self.patch if self.patch is not None else self.answer

    @property
    def cost(self) -> Cost:
        """What this sample took."""
        return Cost(**{name: getattr(self, name) for name in ADDITIVE}, critical_seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class Samples:
    """The recorded samples of one task.

    `classes` gives each sample the number of its output's equivalence class, None where it has no output
    and abstains. `group` is the cluster for standard errors, such as a repository; empty: the task itself.
    """

    task_id: str
    samples: tuple[Sample, ...]
    classes: tuple[int | None, ...]
    group: str = ""

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def correct(self) -> list[float]:
        """Every sample's grade.

        Raises:
            UsageError: one is not recorded.
        """
        return self._all("correct")

    @property
    def scores(self) -> list[float]:
        """Every sample's score.

        Raises:
            UsageError: one is not recorded.
        """
        return self._all("score")

    @property
    def known_lengths(self) -> list[float] | None:
        """`length`, else `output_tokens`, else `seconds`: the first that every sample has; None: none is."""
        for name in ("length", "output_tokens", "seconds"):
            values = self.column(name)
            if values is not None:
                return values
        return None

    @property
    def lengths(self) -> list[float]:
        """As `known_lengths`.

        Raises:
            UsageError: no measure is recorded for every sample.
        """
        values = self.known_lengths
        if values is None:
            wanted = "`length` (or `output_tokens`, or `seconds`)"
            raise UsageError(f"task {shown(self.task_id)}: a race needs {wanted} on every sample")
        return values

    def column(self, name: str) -> list[float] | None:
        """Return a field of every sample, None where one lacks it."""
        values = [getattr(s, name) for s in self.samples]
        return None if None in values else values

    def need(self, k: int, name: str) -> None:
        """Check that there are k samples.

        Raises:
            UsageError: there are fewer; the message names the task.
        """
        if len(self) < k:
            have = f"{len(self)} sample{'s' * (len(self) != 1)}"
            raise UsageError(f"task {shown(self.task_id)} has {have}, and {name} takes {k}")

    def _all(self, name: str) -> list[float]:
        values = self.column(name)
        if values is None:
            bare = next(s.number for s in self.samples if getattr(s, name) is None)
            raise UsageError(f"task {shown(self.task_id)}, sample {bare}: `{name}` is not recorded")
        return values


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a strategy is expected to score on one task, over random subsets of its samples.

    `value` is in [0, 1]. `mc_se` is the Monte Carlo standard error, None where the value is exact.
    """

    value: float
    mc_se: float | None = None
    cost: Cost = Cost(None, None, None, None, None, None)


@runtime_checkable
class Estimator(Protocol):
    """Expects a strategy's score without running its stages. `oracle`: it uses the truth."""

    @property
    def oracle(self) -> bool: ...

    def __call__(self, samples: Samples, *, draws: int, seed: int) -> Expectation:
        """Return the expectation; `draws` subsets at random, seeded, where none can be had exactly.

        Raises:
            UsageError: there are too few samples, or a field is not recorded.
        """
        ...


def shown(text: str, *, limit: int = 80) -> str:
    """Return text from a file for one line of a message: quoted, cut, control characters escaped."""
    return repr(text if len(text) <= limit else text[:limit] + "…")
