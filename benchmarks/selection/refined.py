"""The whole pipeline, simulated: attempts, a selection, refined attempts, a final selection.

A refined attempt is right with the probability that arXiv 2604.16529 gives for the number of right ones among
its four priors; one without priors is right as often as the task's own first attempts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from tts_strategies.arena import Arena
from tts_strategies.rtv import RTV

from benchmarks.selection.arms import CHUNK, Outcome, joined
from benchmarks.selection.schedules import Play, arena, rtv
from benchmarks.selection.world import CALIBRATIONS, Floats, Ints, N, Tasks, World

KEEP = 4
PASSES = {"SWE-like": (0.001, 0.334, 0.555, 0.854, 0.992), "TB-like": (0.018, 0.312, 0.430, 0.785, 0.941)}
"""How often a refined attempt is right by the number of right ones among its priors (Opus on SWE and TB)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Two selections; `fresh` of the N new attempts get no priors, `pooled` keeps the selected ones in."""

    select: RTV | Arena
    final: RTV | Arena
    fresh: int = 0
    pooled: bool = False


def piped(calibration: str, plans: Mapping[str, Plan], tasks: int, seed: int = 1) -> dict[str, Outcome]:
    """Return the outcomes of some plans on the same tasks."""
    jobs = [
        (calibration, plan, min(tasks, CHUNK), seed * 1_000 + i)
        for plan in plans.values()
        for i in range(max(1, tasks // CHUNK))
    ]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        parts = list(pool.map(played, *zip(*jobs, strict=True)))
    each = len(parts) // len(plans)
    return {name: joined(parts[i * each : (i + 1) * each]) for i, name in enumerate(plans)}


def played(calibration: str, plan: Plan, tasks: int, seed: int) -> Outcome:
    """Return a plan's values on some tasks; the same seed gives the same attempts and votes."""
    truth = Tasks.mixed(tasks, seed)
    drawn = np.random.default_rng([seed, 5]).random((tasks, N))
    world = World(CALIBRATIONS[calibration], np.concatenate([truth.right, truth.right], axis=1), seed)
    first = _select(world, np.tile(np.arange(N, dtype=np.int64), (tasks, 1)), plan.select)
    n_right = np.take_along_axis(truth.right, first.kept, axis=1).sum(axis=1)
    chance = np.tile(np.array(PASSES[calibration])[n_right][:, None], (1, N))
    chance[:, : plan.fresh] = truth.rate[:, None]
    grown = World(CALIBRATIONS[calibration], np.concatenate([truth.right, drawn < chance], axis=1), seed)
    new = np.tile(np.arange(N, 2 * N, dtype=np.int64), (tasks, 1))
    last = _select(grown, np.concatenate([first.kept, new], axis=1) if plan.pooled else new, plan.final)
    return Outcome(
        grown.picked(last.choice),
        first.votes + last.votes,
        first.prompts + last.prompts,
        first.rounds + last.rounds,
    )


def _select(world: World, field: Ints, stage: RTV | Arena) -> Play:
    if isinstance(stage, RTV):
        return rtv(world, field, stage)
    lead: Floats = np.zeros(field.shape)
    return arena(world, field, stage, lead)
