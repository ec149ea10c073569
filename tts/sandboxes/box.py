"""What a sandbox is, and what a command run in one comes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

Ended = Literal["exited", "timeout", "memory", "processes", "size"]
"""How a command ended: by itself, or stopped for its time, memory, number of processes or total size."""

MIB = 1024 * 1024

INSIDE = "/testbed"
"""Where a workspace is seen in a sandbox that has a file system of its own; as in SWE-bench's images."""


@dataclass(frozen=True, slots=True)
class Caps:
    """What the processes of one box may use together.

    `file_bytes` is the largest file, `total_bytes` the most that the workspace, HOME and /tmp of a box may
    come to together. `output_bytes` is how much of a command's output is kept: its head and its tail.
    """

    memory_bytes: int = 4096 * MIB
    processes: int = 512
    file_bytes: int = 512 * MIB
    total_bytes: int = 4096 * MIB
    output_bytes: int = MIB


CAPS = Caps()
"""The limits that hold where none are given."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder or file of the host that a sandbox shows at `target` ("": the same path)."""

    source: Path
    target: str = ""
    writable: bool = False

    @property
    def seen(self) -> str:
        """The path inside."""
        return self.target or str(self.source.absolute())


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of one command.

    `returncode` is the exit status, or minus the signal's number; a sandbox that only has a shell's word for
    a signal gives 128 plus its number. 126: it could not be run at all. `output` is what it printed, stderr
    in its place unless they were asked apart; bytes that are no UTF-8 are replaced. `lost_bytes` were not
    kept.
    """

    returncode: int
    output: str = ""
    errors: str = ""
    ended: Ended = "exited"
    seconds: float = 0.0
    lost_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Order:
    """A command to run in a box.

    `argv` is the program and its arguments. `cwd` is where, as seen inside ("": the workspace). `env` is
    added to the box's own variables. `network`: whether it may reach anything but itself. `seconds`: its
    time-out, after which the whole process tree is killed. `apart`: keep stderr apart from stdout. `heard`
    gets each line of stdout as it comes, without its end.
    """

    argv: Sequence[str]
    cwd: str = ""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    stdin: bytes = b""
    seconds: float | None = None
    network: bool = False
    apart: bool = False
    heard: Callable[[str], None] | None = None


class Box(Protocol):
    """A sandbox opened around one workspace: HOME, /tmp and the workspace last from command to command.

    No process outlives the command that started it.
    """

    @property
    def cwd(self) -> str:
        """Where the workspace is seen inside."""
        ...

    async def run(self, order: Order) -> Ran:
        """Return what the command came to; when the wait is cancelled, its process tree is killed first.

        Raises:
            Infra: the sandbox could not be started.
        """
        ...


class Sandbox(Protocol):
    """Makes boxes. It keeps no state of one attempt."""

    @property
    def fingerprint(self) -> str:
        """Its name and whatever of it can change what an agent does."""
        ...

    def problems(self) -> list[str]:
        """Return what cannot be limited or closed off on this machine, one line each.

        Raises:
            UsageError: the sandbox cannot be had here at all; says the way out.
        """
        ...

    def open(
        self, workspace: Path, *, at: str = INSIDE, mounts: Sequence[Mount] = ()
    ) -> AbstractAsyncContextManager[Box]:
        """Open a box around a folder; what it needs beside it is made in the folder's parent."""
        ...
