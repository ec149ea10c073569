"""short-m@k: start k rollouts, stop all as soon as the m shortest have finished thinking.

Source: Hassid, Synnaeve, Adi, Schwartz, "Don't Overthink it. Preferring Shorter Thinking Chains for
Improved LLM Reasoning", 2025, arXiv 2505.17813, section 3.

Departure: the race goes by length and not by arrival.  A lane is cut when its own length passes the m-th
smallest finished length, so the winners depend on the rollouts and not on the machine; at equal speeds
this is the paper's rule.  `halt="arrival"` is the paper's to the letter, and is what happens when the
agent reports no length.  Where one of the m fails after its thinking, or fewer than m finish, the paper
says nothing; those that finished are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from tts.errors import UsageError
from tts.protocols import Lane, Lanes, Scope
from tts.types import Pool


@dataclass(frozen=True, slots=True)
class Race:
    """Keeps the `m` shortest of `k` rollouts, shortest first; 1 <= m <= k.

    Needs: agents that tell their length as they go; without it the first to arrive are kept.
    Costs: k rollouts, each up to the length of the m-th shortest.
    Use it: where long thinking is more often wrong than short thinking, and time counts; a vote follows it.
    """

    k: int
    m: int = 1
    halt: Literal["length", "arrival"] = "length"
    needs: ClassVar[frozenset[str]] = frozenset({"agent"})

    def __post_init__(self) -> None:
        if not 1 <= self.m <= self.k:
            raise UsageError(f"race(k, m) takes 1 <= m <= k, not k={self.k} and m={self.m}")
        if self.halt not in ("length", "arrival"):
            raise UsageError(f"race's halt is 'length' or 'arrival', not {self.halt!r}")

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        """Return the m shortest that finished, in place of the pool; failed ones do not count."""
        async with scope.lanes(self.k) as lanes:
            while await lanes.changed():
                self._cut(lanes)
        first = [lane for lane in _by_length(lanes) if lane.thought][: self.m]
        rollouts = (lane.rollout for lane in first if lane.rollout is not None)
        return Pool(tuple(r for r in rollouts if r.status == "finished"), incomplete=pool.incomplete)

    def _cut(self, lanes: Lanes) -> None:
        thought = [lane for lane in _by_length(lanes) if lane.thought]
        if len(thought) < self.m:
            return
        limit = thought[self.m - 1].length
        for lane in lanes:
            if limit is None or self.halt == "arrival":
                if lane not in thought[: self.m] and not lane.thought:
                    lane.stop(at=limit)
            elif lane.length is not None and lane.length > limit:
                lane.stop(at=limit)


def _by_length(lanes: Lanes) -> list[Lane]:
    """Return the lanes by length, those without a length last, ties by index."""
    return sorted(lanes, key=lambda lane: (_or_endless(lane.length), lane.index))


def _or_endless(length: float | None) -> float:
    return float("inf") if length is None else length
