"""DeepConf offline: a vote by confidence among the most confident rollouts.

Source: Fu, Wang, Tian, Zhao, "Deep Think with Confidence", 2025, arXiv 2508.15260.  A token's confidence is
minus the mean log-probability of its 20 likeliest alternatives; a group's the mean over 2048 tokens in a row.
A trace is measured by its lowest group, the lowest tenth of its groups, its tail, or its mean.  The top eta
per cent of the traces by that measure vote, each with its confidence as weight.

The measures come as signals from agents that ask for log-probabilities; `confidences` works them out.  Ours:
as many rollouts vote as eta per cent come to, rounded up, and all that are as confident as the last of them;
rollouts without the signal have no vote, unless none has it: then all have the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import ClassVar

from tts.confidence import LOWEST_GROUP, confidences
from tts.equivalence import Equivalence, equivalence
from tts.errors import UsageError
from tts.protocols import Scope
from tts.types import Pool, Rollout

from .ballots import by_weight, signal_of

__all__ = ["DeepConf", "confidences", "threshold", "weights"]


@dataclass(frozen=True, slots=True)
class DeepConf:
    """Ranks the rollouts by a vote in which the top `eta` per cent by `signal` weigh what it says.

    `signal` is confidence_lowest_group, confidence_bottom, confidence_tail or confidence_mean, or any other
    number of the rollouts', more being better; below 0 it weighs nothing.  `same` says when two outputs are
    equal, as for a vote.

    Needs: answers, and log-probabilities from the model (a chat agent with `logprobs`).
    Costs: nothing beyond its rollouts.
    Use it: where there are many rollouts of a model whose confidence tells right from wrong.
    """

    eta: float = 10.0
    signal: str = LOWEST_GROUP
    same: str | Equivalence | None = None
    free: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_eta("deepconf", self.eta)
        if isinstance(self.same, str):
            equivalence(self.same)

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the same rollouts, ranked: those that have no vote come after those that have."""
        least = threshold(pool.rollouts, self.signal, self.eta)
        return await by_weight(pool, weights(pool.rollouts, self.signal, least), self.same, scope)


def threshold(rollouts: Sequence[Rollout], signal: str, eta: float) -> float | None:
    """Return the confidence of the last of the top `eta` per cent that have an output; None: none has any."""
    found = [signal_of(r, signal) for r in rollouts if (r.output or "").strip()]
    known = sorted((value for value in found if value is not None), reverse=True)
    return known[ceil(len(known) * eta / 100) - 1] if known else None


def weights(rollouts: Sequence[Rollout], signal: str, least: float | None) -> dict[str, float]:
    """Return what each rollout weighs that is at least so confident, by key; None: each weighs 1."""
    if least is None:
        return {r.key: 1.0 for r in rollouts}
    known = {r.key: value for r in rollouts if (value := signal_of(r, signal)) is not None}
    return {key: max(0.0, value) for key, value in known.items() if value >= least}


def check_eta(stage: str, eta: float) -> None:
    """Check a share in per cent.

    Raises:
        UsageError: it is not above 0 and up to 100.
    """
    if not 0 < eta <= 100:
        raise UsageError(f"{stage}'s eta is a share in per cent, above 0 and up to 100, not {eta}")
