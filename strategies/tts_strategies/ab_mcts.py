"""AB-MCTS: a tree search that chooses at each node between a new attempt and refining an old one.

Source: Inoue, Misaki, Imajuku, Kuroki, Nakamura, Akiba, "Wider or Deeper? Scaling LLM Inference-Time
Compute with Adaptive Branching Tree Search", 2025, arXiv 2503.04412: AB-MCTS-A, by the package treequest,
which is asked for a node and told a score.  From the root on, Thompson sampling goes wider (a new attempt
below this node) or deeper (into one of its children); scores lie in [0, 1].

With our nouns: a child of the root is a fresh rollout, the j-th being attempt j as everywhere; the j-th
child of another node is rollout j given that node's summary.  The score is a signal of the rollout's own
or, without one, the share of votes that it wins against `rivals` earlier ones drawn at random (the first
has one half), which the paper leaves open.  A rollout that failed scores 0.

treequest draws from numpy's global generator.  It is seeded for the moment of each question and put back
after it, so a resumed run chooses as it did before; another thread that draws from the global generator in
that moment would upset it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from statistics import fmean
from typing import Any, ClassVar, Literal

import numpy as np

from tts.errors import UsageError
from tts.pipeline import gather
from tts.protocols import Scope
from tts.types import Pool, Rollout

from .contest import shares

ACTION = "attempt"
"""The one action that treequest chooses where to take."""


@dataclass(frozen=True, slots=True)
class ABMCTS:
    """Makes `n` rollouts in a tree, `batch` at a time, and ranks them by score; in place of the pool.

    `signal` names the rollout's own number in [0, 1] that scores it; "" has the judge compare it with
    `rivals` earlier ones, `votes` calls each.  `prior` is the belief that treequest begins with.

    Needs: summaries, a signal or else a judge, and the extra `search` (treequest).
    Costs: n rollouts in n / batch turns, one after another, and up to `rivals` x `votes` judge calls on each.
    Use it: where a score between 0 and 1 tells half a success, such as the share of visible tests that pass.
    """

    n: int = 16
    signal: str = ""
    batch: int = 1
    rivals: int = 2
    votes: int = 2
    prior: Literal["gaussian", "beta"] = "gaussian"
    name: ClassVar[str] = "ab_mcts"

    def __post_init__(self) -> None:
        if min(self.n, self.batch, self.rivals, self.votes) < 1:
            raise UsageError(
                "ab_mcts takes n, batch, rivals and votes of 1 or more, not "
                f"n={self.n}, batch={self.batch}, rivals={self.rivals}, votes={self.votes}"
            )
        if self.prior not in ("gaussian", "beta"):
            raise UsageError(f"ab_mcts's prior is 'gaussian' or 'beta', not {self.prior!r}")

    @property
    def needs(self) -> frozenset[str]:
        """The roles that it asks: a judge where no signal scores."""
        asked = ("agent", "summarizer") if self.signal else ("agent", "summarizer", "judge")
        return frozenset(asked)

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the rollouts of the tree by score, the older first among equals."""
        tree = Tree(self.prior)
        whole = True
        while whole and (room := self.n - len(tree.scored)):
            asked = tree.ask(min(self.batch, room), scope.rng("ask", str(len(tree.scored))))
            made = await gather(*(_grown(parent, child, scope) for _, parent, child in asked))
            for (trial, _, _), rollout in zip(asked, made, strict=True):
                if rollout is None:
                    whole = False
                else:
                    tree.tell(trial, rollout, await self._score(rollout, tree, scope))
        ranked = sorted(tree.scored, key=lambda scored: -scored[1])
        rollouts = tuple(rollout for rollout, _ in ranked)
        return Pool(rollouts, ranked=True, incomplete=pool.incomplete or not whole)

    async def _score(self, rollout: Rollout, tree: Tree, scope: Scope) -> float:
        if rollout.status != "finished" or not (rollout.output or "").strip():
            return 0.0
        if self.signal:
            return min(1.0, max(0.0, rollout.signals.get(self.signal, 0.0)))
        earlier = [other for other, _ in tree.scored if other.key != rollout.key]
        rivals = scope.rng("rivals", rollout.key).sample(earlier, min(self.rivals, len(earlier)))
        tallies = await scope.compare([[rollout, rival] for rival in rivals], votes=self.votes)
        return fmean(shares(tally)[rollout.key] for tally in tallies) if tallies else 0.5


class Tree:
    """The tree that treequest keeps; `scored` are its rollouts with their scores, oldest first."""

    def __init__(self, prior: Literal["gaussian", "beta"]) -> None:
        try:
            from treequest import ABMCTSA
        except ImportError as error:
            raise UsageError("ab_mcts needs treequest: pip install 'tts-scaling[search]'") from error
        self._search: Any = ABMCTSA[Rollout](dist_type=prior)
        self._state: Any = self._search.init_tree()
        self._children: Counter[int] = Counter()
        self.scored: list[tuple[Rollout, float]] = []

    def ask(self, n: int, rng: Random) -> list[tuple[str, Rollout | None, int]]:
        """Return n times a trial, the rollout to refine (None: start afresh) and the child's number."""
        with _seeded(rng):
            self._state, trials = self._search.ask_batch(self._state, n, [ACTION])
        return [(t.trial_id, t.parent_state, self._next_child(t.node_to_expand)) for t in trials]

    def tell(self, trial: str, rollout: Rollout, score: float) -> None:
        """Add a node."""
        self._state = self._search.tell(self._state, trial, (rollout, score))
        self.scored.append((rollout, score))

    def _next_child(self, node: int) -> int:
        self._children[node] += 1
        return self._children[node] - 1


async def _grown(parent: Rollout | None, child: int, scope: Scope) -> Rollout | None:
    """Return a child of a rollout, or a fresh attempt; None where it could not be had."""
    told = [] if parent is None else [await scope.summarize(parent)]
    if any(not summary.key for summary in told):
        return None
    made: Sequence[Rollout] = await scope.sample(1, start=child, priors=told)
    return made[0] if made else None


@contextmanager
def _seeded(rng: Random) -> Generator[None]:
    """Have numpy's global generator draw from a seed, and put it back as it was."""
    before = np.random.get_state()
    np.random.seed(rng.getrandbits(32))
    try:
        yield
    finally:
        np.random.set_state(before)
