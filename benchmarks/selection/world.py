"""The frozen simulator: tasks with right and wrong candidates, a judge with biases, tests, and behaviour.

A task has 16 candidates of which a beta-binomial(16, 0.6, 0.6) number is right, kept when mixed.  The judge
sees a strength t_i = d * right_i + spread * z_i, a bias b_ij = -b_ji ~ bias * N(0, 1) of the pair and
`position` for the one shown first: P(prefers i) = sigmoid(t_i - t_j + b_ij + position).

A vote is a function of seed, task, order shown and occurrence, as in a ledger: two schedules that ask the
same get the same answer, so differences are paired.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

N = 16
SIZES = 0.6


@dataclass(frozen=True, slots=True)
class Calibration:
    """The judge, in logits: what being right shows, spreads of candidates and pairs, position bias."""

    d: float
    spread: float
    bias: float
    position: float


CALIBRATIONS = {
    "SWE-like": Calibration(1.2, 1.6, 1.2, 0.2),
    "TB-like": Calibration(2.0, 1.2, 1.0, 0.2),
    "pair-only": Calibration(1.2, 0.0, 2.0, 0.0),
    "independent": Calibration(0.7, 0.0, 0.0, 0.0),
}


@dataclass(frozen=True, slots=True)
class Tasks:
    """The truth of some tasks: `rate` (tasks,) is how often a fresh attempt is right, `right` (tasks, N)."""

    rate: Floats
    right: Bools

    @classmethod
    def mixed(cls, n: int, seed: int) -> Tasks:
        """Return n tasks with some right and some wrong candidates."""
        rng = np.random.default_rng([seed, 0])
        rate = rng.beta(SIZES, SIZES, size=4 * n)
        n_right = rng.binomial(N, rate)
        kept = np.flatnonzero((n_right > 0) & (n_right < N))[:n]
        places = rng.random((n, N)).argsort(axis=1).argsort(axis=1)
        return cls(rate[kept], np.asarray(places < n_right[kept, None]))


class World:
    """A judge on some tasks. Votes are counted in `asked`, (tasks, n, n), by the order shown."""

    def __init__(self, calibration: Calibration, right: Bools, seed: int) -> None:
        tasks, n = right.shape
        rng = np.random.default_rng([seed, 1])
        self.seed, self.right, self._judge = seed, right, calibration
        self.tasks: int = tasks
        self._strength = calibration.d * right + calibration.spread * rng.standard_normal((tasks, n))
        above = np.triu(rng.standard_normal((tasks, n, n)), 1)
        self._bias = calibration.bias * (above - above.transpose(0, 2, 1))
        self.asked: Ints = np.zeros((tasks, n, n), dtype=np.int64)

    def fresh(self) -> World:
        """Return the same world before any vote."""
        same = object.__new__(World)
        same.__dict__.update(self.__dict__, asked=np.zeros_like(self.asked))
        return same

    def vote(self, rows: Ints, first: Ints, second: Ints) -> Ints:
        """Return the next vote on each pair in the order shown: 0 for the first, 1 for the second.

        No pair of a task may be named twice in one call.
        """
        occurrence = self.asked[rows, first, second]
        self.asked[rows, first, second] += 1
        return self.answer(rows, first, second, occurrence)

    def answer(self, rows: Ints, first: Ints, second: Ints, occurrence: Ints) -> Ints:
        """Return the vote of that number; it is always the same."""
        lead = self._strength[rows, first] - self._strength[rows, second] + self._bias[rows, first, second]
        drawn = uniform(self.seed, rows, first, second, occurrence)
        return np.asarray(drawn >= expit(lead + self._judge.position), dtype=np.int64)

    def picked(self, choice: Ints) -> Floats:
        """Return 1 for each task whose choice is right, else 0."""
        return self.right[np.arange(self.tasks, dtype=np.int64), choice].astype(np.float64)


def passes(right: Bools, seed: int, *, faithful: tuple[float, float] = (0.75, 0.35), noise: bool) -> Floats:
    """Return (tasks, n, n): whether the test of the author (second axis) passes each candidate.

    A faithful test, so with the first probability when its author is right and with the second when not,
    passes exactly the right ones. Another passes its author, and everyone else by a coin. With `noise` all
    tests are of that kind.
    """
    n = right.shape[1]
    rng = np.random.default_rng([seed, 2])
    true = rng.random(right.shape) < np.where(right, *faithful)
    coins = (rng.random((*right.shape, n)) < 0.5) | np.eye(n, dtype=bool)
    told = coins if noise else np.where(true[:, :, None], right[:, None, :], coins)
    return told.astype(np.float64)


def behaviour(right: Bools, seed: int, *, noise: bool) -> Ints:
    """Return the class of behaviour of each candidate, (tasks, n).

    A right one is in class 0 with probability 0.8, a wrong one in one of three others with probability 0.5,
    else each is a class of its own. With `noise` the classes are dealt to the candidates at random.
    """
    rng = np.random.default_rng([seed, 3])
    numbers: Ints = np.arange(right.shape[1], dtype=np.int64)
    own: Ints = np.broadcast_to(numbers + 4, right.shape)
    shared = np.where(right, 0, rng.integers(1, 4, size=right.shape))
    classes = np.where(rng.random(right.shape) < np.where(right, 0.8, 0.5), shared, own)
    deal = rng.random(right.shape).argsort(axis=1)
    return np.asarray(np.take_along_axis(classes, deal, axis=1) if noise else classes)


def uniform(seed: int, *parts: Ints) -> Floats:
    """Return numbers in [0, 1) that depend on seed and parts alone (SplitMix64's finalizer)."""
    word: Words = np.full(np.broadcast_shapes(*(np.shape(p) for p in parts)), seed, dtype=np.uint64)
    for part in parts:
        word = _stirred(
            word + np.uint64(0x9E3779B97F4A7C15) * (np.asarray(part).astype(np.uint64) + np.uint64(1))
        )
    return np.asarray((word >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def _stirred(word: Words) -> Words:
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))
