"""Carrying out effects on a Ray cluster: what runs there, what it needs, and how it talks to the run.

The ledger, the store, the budgets and the stages stay in the process of the run.  An effect is shipped with
those who play the roles; the workspaces and sandboxes that it needs are made where it runs.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tts.errors import UsageError
from tts.protocols import Executor

SHIPPED = frozenset({"rollout", "execute", "grade"})
"""The kinds that run on the cluster; what only asks a model or reads a trajectory stays with the run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What one effect holds of a node: CPUs, bytes of memory, and resources of the cluster's own naming.

    Ray schedules by these figures and does not enforce them.
    """

    cpus: float = 1.0
    memory_bytes: int = 0
    resources: Mapping[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        numbers = {"cpus": self.cpus, "memory": self.memory_bytes, **self.resources}
        for name, value in numbers.items():
            if not 0 <= value < float("inf"):
                raise UsageError(f"what an effect needs of {name} is zero or more, not {value}")
        for name in {"CPU", "memory"} & set(self.resources):
            raise UsageError(f"{name} is no resource of a cluster's own naming: give cpus and memory_bytes")

    @property
    def options(self) -> dict[str, Any]:
        """The same in Ray's words."""
        own = dict(self.resources)
        gpus = {"num_gpus": own.pop("GPU")} if "GPU" in own else {}
        memory = {"memory": self.memory_bytes} if self.memory_bytes else {}
        return {"num_cpus": self.cpus, "resources": own, **gpus, **memory}

    @property
    def amounts(self) -> dict[str, float]:
        """The same as amounts of a node's resources."""
        every = {"CPU": self.cpus, "memory": float(self.memory_bytes), **self.resources}
        return {name: amount for name, amount in every.items() if amount}


@dataclass(frozen=True, kw_only=True, slots=True)
class RayCluster:
    """Where effects are carried out, for `Experiment.where` and `tts.solve`.

    `address` is HOST:PORT of a running cluster, "auto" for the one that this machine belongs to, "" to start
    one on this machine for the run. `needs` is what an effect holds, `by_kind` what those of a kind hold
    instead. `working_dir` is a folder that every node gets a copy of, for agents in no installed package.
    """

    address: str = ""
    needs: Needs = Needs()
    by_kind: Mapping[str, Needs] = field(default_factory=dict[str, Needs])
    working_dir: str = ""

    def __post_init__(self) -> None:
        if self.address.startswith("ray://"):
            raise UsageError(
                f"{self.address!r} is for Ray's client: give the cluster's HOST:PORT, on a machine in it"
            )
        if self.address not in ("", "auto", "local") and not self.address.rpartition(":")[2].isdigit():
            raise UsageError(f"a Ray cluster's address is HOST:PORT or auto, not {self.address[:80]!r}")
        if self.working_dir and "://" not in self.working_dir and not Path(self.working_dir).exists():
            raise UsageError(f"there is no folder {self.working_dir} for the nodes to get")

    def needed_by(self, kind: str) -> Needs:
        """Return what an effect of a kind holds."""
        return self.by_kind.get(kind, self.needs)

    @asynccontextmanager
    async def open(self, players: Callable[[], Executor]) -> AsyncGenerator[Executor]:
        """Connect and return the executor; `players` makes the one that carries effects out, on any node.

        Raises:
            UsageError: Ray is missing, the cluster cannot be reached, no node has what an effect needs, or a
                player cannot be sent.
        """
        try:
            from tts.executors.cluster.executor import connected
        except ImportError:
            raise UsageError("Ray is missing: pip install 'tts-scaling[ray]'") from None
        async with connected(self, players) as executor:
            yield executor
