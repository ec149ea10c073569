"""Best-of-N: the rollout with the highest score, a scorer's or a judge's.

Source: Cobbe, Kosaraju, Bavarian, Chen, Jun, Kaiser, Plappert, Tworek, Hilton, Nakano, Hesse, Schulman,
"Training Verifiers to Solve Math Word Problems", 2021, arXiv 2110.14168: N samples, and the one that a
verifier scores highest.

A score is a signal of the rollout's own or, with `by="judge"`, what a judge gives it beside its verdict.
Ours, as the paper has a verifier and no judge: candidates are shown to the judge `group` at a time, as the
task and the group's summaries, in seeded groups that differ by one in size; the orders of showing take
turns.  A candidate's score is the mean over the votes that bear scores; votes without scores tell nothing.
What is not scored comes after what is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from tts.equivalence import equivalence
from tts.errors import UsageError
from tts.protocols import Scope
from tts.types import Pool, Rollout, Tally

from .ballots import signal_of
from .contest import had_all, ranked
from .entrants import entrants


@dataclass(frozen=True, slots=True)
class Best:
    """Keeps the `keep` rollouts of the highest score, best first, equals by lot.

    `by` says whose score: `signal` takes the rollouts' own number `signal`; `judge` asks for `votes` verdicts
    on each group of `group`.  `merge` names the equivalence under which outputs enter once, with the best
    score of theirs; None lets each rollout enter.  Rollouts without an output stay out unless there are no
    others.

    Needs: a score in the signals, or a judge that gives scores (with summaries).
    Costs: nothing by a signal; by a judge `votes` calls on each group, all at the same time.
    Use it: where the score is known to be good, or N is large and comparisons would cost too much.
    """

    signal: str = "score"
    by: Literal["signal", "judge"] = "signal"
    keep: int = 1
    group: int = 2
    votes: int = 2
    merge: str | None = None

    def __post_init__(self) -> None:
        if self.by not in ("signal", "judge"):
            raise UsageError(f"best's by is 'signal' or 'judge', not {self.by!r}")
        if self.keep < 1 or self.group < 2 or self.votes < 1:
            raise UsageError(
                "best takes keep >= 1, group >= 2 and votes >= 1, "
                f"not keep={self.keep}, group={self.group}, votes={self.votes}"
            )
        if self.merge is not None:
            equivalence(self.merge)

    @property
    def needs(self) -> frozenset[str]:
        """The roles that it asks: none by a signal."""
        return frozenset({"judge", "summarizer"}) if self.by == "judge" else frozenset()

    @property
    def free(self) -> bool:
        """Whether it costs nothing."""
        return self.by == "signal"

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the best; incomplete where votes were refused."""
        entered = [max(equal, key=self._own) for equal in entrants(pool.rollouts, self.merge)]
        scores, whole = {r.key: [s] for r in entered if (s := signal_of(r, self.signal)) is not None}, True
        if self.by == "judge":
            scores, whole = await self._judged(entered, scope)
        worth = {r.key: (float(r.key in scores), fmean(scores.get(r.key, [0.0]))) for r in entered}
        return ranked(pool, entered, worth, scope, keep=self.keep, whole=whole)

    def _own(self, rollout: Rollout) -> tuple[bool, float]:
        own = signal_of(rollout, self.signal)
        return own is not None, own or 0.0

    async def _judged(self, entered: Sequence[Rollout], scope: Scope) -> tuple[dict[str, list[float]], bool]:
        """Return the scores that each was given, by key, and whether every vote was had."""
        if len(entered) < 2:
            return {}, True
        order = list(entered)
        scope.rng("groups").shuffle(order)
        n_groups = max(1, len(order) // self.group)
        tallies = await scope.compare([order[i::n_groups] for i in range(n_groups)], votes=self.votes)
        return scores_of(tallies), had_all(tallies, self.votes)


def scores_of(tallies: Sequence[Tally]) -> dict[str, list[float]]:
    """Return all scores that the verdicts give, by rollout key; those without scores give none."""
    found: dict[str, list[float]] = {}
    for verdict in (v for tally in tallies for v in tally.verdicts if len(v.scores) == len(v.shown)):
        for key, score in zip(verdict.shown, verdict.scores, strict=True):
            found.setdefault(key, []).append(score)
    return found
