"""Where effects are carried out, as a command line says it: in this process, or on a Ray cluster."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tts.errors import UsageError
from tts.protocols import Executors

PANEL = "Machines"
GIB = 1 << 30


class ExecutorName(StrEnum):
    """Who carries effects out."""

    local = "local"
    ray = "ray"


Name = Annotated[
    ExecutorName,
    typer.Option("--executor", help="Where attempts run: here, or on a Ray cluster.", rich_help_panel=PANEL),
]
Address = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT",
        help="The Ray cluster, or auto: the one this machine belongs to (one started for the run).",
        rich_help_panel=PANEL,
    ),
]
Cpus = Annotated[
    float | None,
    typer.Option(metavar="N", min=0, help="CPUs that one attempt holds (1).", rich_help_panel=PANEL),
]
Memory = Annotated[
    float | None,
    typer.Option(metavar="GIB", min=0, help="Memory that one attempt holds.", rich_help_panel=PANEL),
]
Resources = Annotated[
    list[str] | None,
    typer.Option(
        "--resource",
        metavar="NAME=N",
        help="What else of the cluster's naming one attempt holds. Repeatable.",
        rich_help_panel=PANEL,
    ),
]
WorkingDir = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="A folder that every node gets, for --agent module:name.", rich_help_panel=PANEL
    ),
]


@dataclass(frozen=True, slots=True)
class Where:
    """What a command line says of machines, in the order of its flags; None and "": not said."""

    name: str = "local"
    address: str = ""
    cpus: float | None = None
    memory_gib: float | None = None
    resources: Sequence[str] | None = None
    working_dir: Path | None = None

    def executors(self) -> Executors:
        """Return where effects are carried out.

        Raises:
            UsageError: a flag is for Ray and the run is local, or a resource cannot be read.
        """
        if self.name == ExecutorName.local:
            if unused := [flag for flag, given in self._given.items() if given]:
                raise UsageError(f"{unused[0]} is for a cluster: give --executor ray, or leave it out")
            from tts.executors.local import Here

            return Here()
        from tts.executors.cluster import Needs, RayCluster

        needs = Needs(
            cpus=1.0 if self.cpus is None else self.cpus,
            memory_bytes=round((self.memory_gib or 0.0) * GIB),
            resources=_amounts(self.resources or ()),
        )
        folder = str(self.working_dir.resolve()) if self.working_dir is not None else ""
        return RayCluster(address=self.address, needs=needs, working_dir=folder)

    def quiet(self) -> AbstractContextManager[object]:
        """Keep stdout for the results: Ray prints there what its nodes complain of."""
        return nullcontext() if self.name == ExecutorName.local else redirect_stdout(sys.stderr)

    @property
    def _given(self) -> Mapping[str, object]:
        return {
            "--address": self.address,
            "--cpus": self.cpus is not None,
            "--memory": self.memory_gib is not None,
            "--resource": self.resources,
            "--working-dir": self.working_dir,
        }


def _amounts(given: Sequence[str]) -> dict[str, float]:
    """Return resources by name, of texts NAME=N."""
    found = dict[str, float]()
    for text in given:
        name, _, number = text.partition("=")
        try:
            found[name] = float(number)
        except ValueError:
            name = ""
        if not name:
            raise UsageError(f"--resource {text[:80]}: write NAME=N, such as big_disk=1")
    return found
