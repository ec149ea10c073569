"""No sandbox: commands run on the machine itself, with nothing closed off."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tts.sandboxes.box import CAPS, INSIDE, Caps, Mount, Order, Ran
from tts.sandboxes.groups import Group, Run, grouped
from tts.sandboxes.processes import Launch, carry_out
from tts.sandboxes.setting import limited, variables
from tts.sandboxes.table import descendants, marked, send
from tts.sandboxes.watch import Meter, Watch, folder, metered

MARK = "TTS_BOX"
"""The variable by which the processes of a command are found again."""


@dataclass(frozen=True, slots=True)
class NoSandbox:
    """Runs commands in the workspace as it lies on the machine, with a HOME and a TMPDIR of their own.

    They can read and change whatever the user of this process can. `env` names variables that they are
    handed from this process's environment. Mounts have no meaning here and are refused by nothing: a file
    of the machine is there under its own path.
    """

    caps: Caps = CAPS
    env: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """The name; what a command can do depends on the machine."""
        return "none"

    def problems(self) -> list[str]:
        """Return that nothing is closed off, and what is not limited."""
        return [
            "without a sandbox, commands read and change whatever this user can, and reach the network",
            "a process that clears its environment and leaves its parents is not found again",
            *Group.problems(),
        ]

    @asynccontextmanager
    async def open(
        self, workspace: Path, *, at: str = INSIDE, mounts: Sequence[Mount] = ()
    ) -> AsyncGenerator[OpenBox]:
        """Open a box around a folder; `at` and `mounts` change nothing."""
        root = workspace.resolve()  # noqa: ASYNC240
        async with folder(root) as place, grouped(self.caps) as group:
            yield OpenBox(self, root, group, await metered(self.caps, (root, place)), place)


@dataclass(frozen=True, slots=True)
class OpenBox:
    """A workspace on the machine, with a folder beside it for HOME and TMPDIR."""

    sandbox: NoSandbox
    workspace: Path
    group: Group
    meter: Meter
    place: Path

    @property
    def cwd(self) -> str:
        """The workspace's real path."""
        return str(self.workspace)

    async def run(self, order: Order) -> Ran:
        """Return what the command came to."""
        caps, mark = self.sandbox.caps, secrets.token_hex(16)
        home, tmp = str(self.place / "home"), str(self.place / "tmp")
        env = {**variables(self.sandbox.env, home=home), "TMPDIR": tmp, **order.env, MARK: mark}
        cwd, more = os.path.join(self.cwd, order.cwd), self.group.missing - {"processes"}  # of all its user's
        inner = limited(order.argv, cwd, caps, more=more)
        with self.group.run() as run:
            tree = MarkedTree(f"{MARK}={mark}".encode(), run)
            watch = Watch(self.meter, run, tree.members, self.meter.known)
            launch = Launch([*run.joining(), *inner], env)
            return await carry_out(order, launch, size=caps.output_bytes, tree=tree, watch=watch)


@dataclass(frozen=True, slots=True)
class MarkedTree:
    """The processes that carry a mark in their environment, their descendants, and those of a group."""

    mark: bytes
    run: Run

    def members(self) -> list[int]:
        """Return the processes that are alive."""
        return sorted(descendants({*marked(self.mark), *self.run.members()}))

    def kill(self, number: int) -> bool:
        """Send a signal to each."""
        alive = self.members()
        if number == signal.SIGKILL:
            send(alive, signal.SIGSTOP)  # so that none starts another while they are killed
        send(alive, number)
        return bool(alive)
