"""Several agents that share one sample budget, by fixed shares.

Source: heterogeneous ensembles at a matched sample budget, 2026, arXiv 2605.28751: k samples divided among
agents or models solve more tasks than k of one where they fail on different tasks.  What a mixture can solve
is estimated from recorded samples by `mix@k` in a replay, by `tts.stats.solve_probability`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Any

from tts.errors import UsageError
from tts.protocols import Agent, Attempt, bound_of
from tts.types import Budget, Rollout, Task, digest

MOST_SHARES = 10_000


@dataclass(frozen=True)
class Several:
    """Agents by name; the attempt's index says which of them makes it.

    `shares` are whole numbers, one for each agent in their order; empty: equal ones. The first attempts are
    divided as nearly by the shares as their number allows, and every later one keeps to that, so a larger run
    uses what a smaller one made. A refined attempt of an index is made by the agent of that index.
    """

    agents: Mapping[str, Agent]
    shares: Sequence[int] = ()

    def __post_init__(self) -> None:
        if not self.agents:
            raise UsageError("several agents are needed, or one at least")
        shares = self.shares or [1] * len(self.agents)
        if len(shares) != len(self.agents) or min(shares) < 1 or sum(shares) > MOST_SHARES:
            told = ":".join(map(str, self.shares))
            raise UsageError(
                f"shares are whole numbers from 1, one for each of {len(self.agents)} agents, as in 3:1 for "
                f"two, not {told}"
            )

    @property
    def fingerprint(self) -> str:
        """The agents' names and fingerprints, and their shares."""
        told = [[name, agent.fingerprint] for name, agent in self.agents.items()]
        return f"several/1 {digest([told, list(self.shares or [1] * len(self.agents))])[:12]}"

    @property
    def bound(self) -> Budget:
        """The most that one attempt of any agent can cost."""
        return dearest([bound_of(agent) for agent in self.agents.values()])

    @cached_property
    def turns(self) -> list[str]:
        """Who makes which attempt, over one round of all shares."""
        return turns(dict(zip(self.agents, self.shares or [1] * len(self.agents), strict=True)))

    def named(self, index: int) -> str:
        """Return the name of the agent that makes an attempt."""
        return self.turns[index % len(self.turns)]

    async def run(self, task: Task, attempt: Attempt) -> Rollout:
        """Return the rollout of the agent whose turn it is."""
        return await self.agents[self.named(attempt.index)].run(task, attempt)

    async def ready(self) -> None:
        """Check that every agent that can tell is ready."""
        for agent in self.agents.values():
            ready = getattr(agent, "ready", None)
            if ready is not None:
                await ready()

    def __getattr__(self, name: str) -> Any:
        """Return `bound_for`, the dearest, where an agent has one."""
        if name == "bound_for" and any(hasattr(agent, name) for agent in self.agents.values()):
            return self._bound_for
        raise AttributeError(name)

    def _bound_for(self, task: Task, read: Sequence[Any]) -> Budget:
        reckoned = ((getattr(agent, "bound_for", None), agent) for agent in self.agents.values())
        return dearest([own(task, read) if own else bound_of(agent) for own, agent in reckoned])


def turns(shares: Mapping[str, int]) -> list[str]:
    """Return names in one round of their shares, each prefix as near to the shares as can be.

    >>> turns({"a": 3, "b": 1})
    ['a', 'a', 'b', 'a']
    """
    total, had, order = sum(shares.values()), dict.fromkeys(shares, 0), list[str]()
    for i in range(total):
        behind = {name: share * (i + 1) - had[name] * total for name, share in shares.items()}
        name = max(behind, key=lambda one: behind[one])
        had[name] += 1
        order.append(name)
    return order


def dearest(bounds: Sequence[Budget]) -> Budget:
    """Return the most of each dimension; None where one of the bounds has none."""
    columns: list[tuple[Any, ...]] = [*zip(*[astuple(bound) for bound in bounds], strict=True)]
    return Budget(*(None if None in column else max(column) for column in columns))
