"""All that a report asks of a comparison, gathered; and the same as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tts.clusters import FEW, spread
from tts.comparison import Comparison
from tts.report.study.duels import Duel, duels
from tts.report.study.front import Place, front
from tts.report.study.growth import Curve, growth
from tts.report.study.judging import Judging, judging_of
from tts.report.study.refinement import Refinement, refinements
from tts.run import Run
from tts.samples import Samples


@dataclass(frozen=True, slots=True)
class Study:
    """What stands beside the table of strategies.

    `currency` is what the front's costs are counted in, "" without a front. `effective_clusters` is how many
    clusters of one size would tell as much; below `FEW` intervals are to be read with care.
    """

    duels: Sequence[Duel] = ()
    currency: str = ""
    front: Sequence[Place] = ()
    growth: Sequence[Curve] = ()
    judging: Judging | None = None
    refinements: Sequence[Refinement] = ()
    effective_clusters: float | None = None

    @property
    def few_clusters(self) -> bool:
        """Whether tasks are clustered, and in too few clusters to be sure of an interval."""
        return self.effective_clusters is not None and self.effective_clusters < FEW

    def to_json(self) -> dict[str, Any]:
        """Return plain values, null where unknown."""
        return {
            "duels": [_duel(duel) for duel in self.duels],
            "front": {"currency": self.currency or None, "places": [asdict(place) for place in self.front]},
            "growth": [asdict(curve) for curve in self.growth],
            "judging": None if self.judging is None else asdict(self.judging),
            "refinements": [asdict(one) for one in self.refinements],
            "effective_clusters": self.effective_clusters,
        }


def study_of_run(run: Run, comparison: Comparison, *, group: str = "") -> Study:
    """Return the study of a run's comparison."""
    choices = list(run.current_choices())
    grades = {task.id: run.grades(task.id) for task in run.tasks()}
    rollouts = run.rollouts()
    found = study_of_replay(comparison, run.samples(group=group))
    return Study(
        found.duels,
        found.currency,
        found.front,
        found.growth,
        judging_of(run, choices, grades),
        refinements(choices, rollouts, grades),
        found.effective_clusters,
    )


def study_of_replay(comparison: Comparison, samples: Sequence[Samples] = ()) -> Study:
    """Return the study of a comparison, with the samples that it was made of where they are at hand."""
    currency, places = front(comparison)
    return Study(
        duels(comparison),
        currency,
        places,
        growth(samples),
        effective_clusters=_effective(comparison),
    )


def _effective(comparison: Comparison) -> float | None:
    """Return the effective number of clusters; None where no tasks share one."""
    groups = [group or f"task {task}" for task, group in comparison.clusters.items()]
    if len(set(groups)) == len(groups):
        return None
    return spread([0.0] * len(groups), groups).effective


def _duel(duel: Duel) -> dict[str, Any]:
    counts = {"gained": list(duel.gained), "lost": list(duel.lost)}
    return {"a": duel.pair.a, "b": duel.pair.b, **counts, "mcnemar": duel.mcnemar, "needed": duel.needed}
