"""What refinement did: how many attempts are right before and after, and by how many right ones they read of.

The tables of arXiv 2604.16529: passes per task in each iteration, and the accuracy of refined attempts by the
number of passing priors.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tts.run import Choice
from tts.types import Grade, Rollout


@dataclass(frozen=True, slots=True)
class ByPriors:
    """Refined attempts that read `passing` right priors out of `of`: how many tasks, and their accuracy."""

    passing: int
    of: int
    n_tasks: int
    n_rollouts: int
    accuracy: float


@dataclass(frozen=True, slots=True)
class Refinement:
    """One strategy with refined attempts.

    `passes` counts tasks by iteration and by how many of the attempts there are right; `accuracy` is the
    mean over tasks, by iteration; `mixed` the number of tasks with some right and some wrong, by iteration.
    """

    strategy: str
    passes: Mapping[int, Mapping[int, int]]
    accuracy: Mapping[int, float]
    mixed: Mapping[int, int]
    by_priors: tuple[ByPriors, ...]


def refinements(
    choices: Iterable[Choice],
    rollouts: Mapping[str, Rollout],
    grades: Mapping[str, Mapping[str, Grade]],
) -> list[Refinement]:
    """Return what refinement did in each strategy that has it, over its graded choices."""
    by_strategy: defaultdict[str, list[Choice]] = defaultdict(list)
    for choice in choices:
        if any(rollouts[key].iteration for key in choice.used if key in rollouts):
            by_strategy[choice.strategy].append(choice)
    return [_refinement(name, made, rollouts, grades) for name, made in by_strategy.items()]


def _refinement(
    name: str,
    choices: list[Choice],
    rollouts: Mapping[str, Rollout],
    grades: Mapping[str, Mapping[str, Grade]],
) -> Refinement:
    passes: defaultdict[int, Counter[int]] = defaultdict(Counter)
    shares: defaultdict[int, list[float]] = defaultdict(list)
    mixed: Counter[int] = Counter()
    read: defaultdict[tuple[int, int], list[tuple[str, bool]]] = defaultdict(list)
    for choice in choices:
        graded = grades.get(choice.task_id, {})
        used = [rollouts[key] for key in choice.used if key in rollouts and key in graded]
        for iteration in {rollout.iteration for rollout in used}:
            right = [graded[r.key].resolved for r in used if r.iteration == iteration]
            passes[iteration][sum(right)] += 1
            shares[iteration].append(sum(right) / len(right))
            mixed[iteration] += 0 < sum(right) < len(right)
        for rollout in (r for r in used if r.priors and all(key in graded for key in r.priors)):
            told = sum(graded[key].resolved for key in rollout.priors), len(rollout.priors)
            read[told].append((choice.task_id, graded[rollout.key].resolved))
    return Refinement(
        name,
        {i: dict(sorted(found.items())) for i, found in sorted(passes.items())},
        {i: sum(found) / len(found) for i, found in sorted(shares.items())},
        {i: mixed[i] for i in sorted(passes)},
        tuple(_by_priors(*told, found) for told, found in sorted(read.items())),
    )


def _by_priors(passing: int, of: int, found: list[tuple[str, bool]]) -> ByPriors:
    right = sum(ok for _, ok in found)
    return ByPriors(passing, of, len({task for task, _ in found}), len(found), right / len(found))
