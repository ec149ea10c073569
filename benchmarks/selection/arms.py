"""What is measured: schedules on the same tasks, in chunks on all cores, as paired values."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
from tts_strategies.arena import Arena
from tts_strategies.evidence import TestModel, odds
from tts_strategies.rtv import RTV

from benchmarks.selection.schedules import Play, arena, rtv
from benchmarks.selection.world import CALIBRATIONS, Bools, Floats, Ints, N, Tasks, World, behaviour, passes

CHUNK = 2_500
"""So many tasks are played at once; they share a seed."""

Lead = Callable[[Bools, int], Floats]
"""Evidence in logits of strength, from the truth and a seed."""


def no_lead(right: Bools, seed: int) -> Floats:
    """Votes alone."""
    return np.zeros(right.shape)


def by_tests(right: Bools, seed: int, *, noise: bool = False) -> Floats:
    """Candidates' tests, a logit of strength for one of log-odds."""
    authors = np.arange(right.shape[1], dtype=np.int64)
    return odds(passes(right, seed, noise=noise), authors, TestModel())


def evidence(right: Bools, seed: int, *, noise: bool = False) -> Floats:
    """Candidates' tests, and their agreement as in the stage."""
    told = by_tests(right, seed, noise=noise)
    classes = behaviour(right, seed, noise=noise)
    size = (classes[:, :, None] == classes[:, None, :]).sum(axis=2)
    return told + Arena().agreement * np.log(size)


def noise(right: Bools, seed: int) -> Floats:
    """The same signals, telling nothing."""
    return evidence(right, seed, noise=True)


@dataclass(frozen=True, slots=True)
class Arm:
    """A stage with the evidence it is given."""

    stage: RTV | Arena
    lead: Lead = no_lead

    def play(self, world: World, seed: int) -> Play:
        """Play the stage on all candidates of a world."""
        field: Ints = np.tile(np.arange(N, dtype=np.int64), (world.tasks, 1))
        if isinstance(self.stage, RTV):
            return rtv(world, field, self.stage)
        return arena(world, field, self.stage, self.lead(world.right, seed))


@dataclass(frozen=True, slots=True)
class Outcome:
    """An arm's values by task: whether it picked a right one, and what it spent."""

    right: Floats
    votes: Floats
    prompts: Floats
    rounds: Floats


def measured(calibration: str, arms: Mapping[str, Arm], tasks: int, seed: int = 1) -> dict[str, Outcome]:
    """Return the outcomes of some arms on the same tasks."""
    seeds = [seed * 1_000 + i for i in range(max(1, tasks // CHUNK))]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        parts = list(
            pool.map(
                _chunk, *zip(*((calibration, dict(arms), s, min(tasks, CHUNK)) for s in seeds), strict=True)
            )
        )
    return {name: joined([part[name] for part in parts]) for name in arms}


def _chunk(calibration: str, arms: Mapping[str, Arm], seed: int, tasks: int) -> dict[str, Outcome]:
    world = World(CALIBRATIONS[calibration], Tasks.mixed(tasks, seed).right, seed)
    found: dict[str, Outcome] = {}
    for name, arm in arms.items():
        own = world.fresh()
        play = arm.play(own, seed)
        found[name] = Outcome(own.picked(play.choice), play.votes, play.prompts, play.rounds)
    return found


def joined(parts: list[Outcome]) -> Outcome:
    """Return the outcomes of several chunks as one."""
    return Outcome(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Outcome)))


def interval(values: Floats) -> tuple[float, float, float]:
    """Return mean, and lower and upper end of its 95 % interval over tasks."""
    mean, half = float(values.mean()), float(1.96 * values.std(ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half
