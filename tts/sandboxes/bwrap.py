"""Runs commands under bubblewrap: only what is on a list can be seen, and little of it changed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tts.errors import Infra, UsageError
from tts.sandboxes.box import CAPS, INSIDE, Caps, Mount, Order, Ran
from tts.sandboxes.etc import MADE, etc
from tts.sandboxes.groups import Group, Run, grouped
from tts.sandboxes.mounts import HOME, TMP, check, held, settled, shown
from tts.sandboxes.preflight import bubblewrap
from tts.sandboxes.processes import UNRUNNABLE, Launch, Unrunnable, carry_out, filled
from tts.sandboxes.setting import limited, variables
from tts.sandboxes.table import alive, descendants, parent, send
from tts.sandboxes.watch import Meter, Watch, folder, metered


@dataclass(frozen=True, slots=True)
class Bwrap:
    """Runs commands under bubblewrap.

    Inside are the system's programs (/usr), a few files of /etc, the Python that runs this, the `mounts`
    and the workspace, which alone can be written besides HOME, /tmp and mounts that say so. `env` names
    variables that commands are handed from this process's environment.
    """

    caps: Caps = CAPS
    mounts: tuple[Mount, ...] = ()
    env: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """The name, the limits, the targets of mounts and the names of variables; nothing of the host."""
        shown = [f"{mount.target or mount.source.name}:{'rw' * mount.writable}" for mount in self.mounts]
        return f"bwrap {self.caps} {sorted(shown)} {sorted(self.env)}"

    def problems(self) -> list[str]:
        """Return what is not limited or closed off here.

        Raises:
            UsageError: there is no bubblewrap, or it cannot work here.
        """
        return [*bubblewrap().problems, *Group.problems()]

    @asynccontextmanager
    async def open(
        self, workspace: Path, *, at: str = INSIDE, mounts: Sequence[Mount] = ()
    ) -> AsyncGenerator[OpenBox]:
        """Open a box around a folder; a folder `box-…` beside it holds its HOME and /tmp while it is open."""
        bubblewrap()
        root = workspace.resolve()  # noqa: ASYNC240
        check((*self.mounts, *mounts), at, root)
        several = tuple(map(settled, (*self.mounts, *mounts)))
        async with folder(root, MADE) as place, grouped(self.caps) as group:
            meter = await metered(self.caps, (root, place / "home", place / "tmp"))
            yield OpenBox(replace(self, mounts=several), root, place, at, group, meter)


@dataclass(frozen=True, slots=True)
class OpenBox:
    """A workspace and a folder with HOME and /tmp, shown to one command after another."""

    sandbox: Bwrap
    workspace: Path
    place: Path
    cwd: str
    group: Group
    meter: Meter

    async def run(self, order: Order) -> Ran:
        """Return what the command came to; a signal shows as 128 and its number, as in a shell."""
        caps, cwd = self.sandbox.caps, os.path.join(self.cwd, order.cwd)
        try:
            words = self._options(order)
        except Unrunnable as problem:
            return Ran(UNRUNNABLE, f"cannot run this command: {problem}\n")
        with _handed(words) as options, self.group.run() as run:
            argv = [bubblewrap().path, *bubblewrap().flags, *options.flags]
            inner = limited(order.argv, cwd, caps, more=self.group.missing)
            tree = Inside(options.status, run)
            launch = Launch([*run.joining(), *argv, *inner], {}, tuple(options.fds.values()))
            watch = Watch(self.meter, run, tree.members, self.meter.known)
            ran = await carry_out(order, launch, size=caps.output_bytes, tree=tree, watch=watch)
            return options.status.checked(ran)

    def _options(self, order: Order) -> list[str]:
        """Return what bubblewrap is told by a file, where no other process can read it."""
        env = {**variables(self.sandbox.env, home=HOME), **order.env}
        words = _system()
        for path, target in etc(self.place, online=order.network):
            words += ["--ro-bind", str(path), target]
        roots = {TMP: self.place / "tmp", HOME: self.place / "home"}
        mounts = shown(self.sandbox.mounts, self.cwd, self.workspace)
        for target, place in (*roots.items(), *held(mounts, roots).items()):
            words += ["--bind", str(place), target]
        for mount in mounts:
            words += ["--bind" if mount.writable else "--ro-bind", str(mount.source.absolute()), mount.seen]
        words += [] if order.network else ["--unshare-net"]
        words += _closing(self.sandbox.caps)
        return words + [word for name, value in env.items() for word in ("--setenv", name, value)]


def _system() -> list[str]:
    words = ["--ro-bind", "/usr", "/usr"]
    for path in map(Path, ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")):
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    return [*words, "--proc", "/proc", "--dev", "/dev"]


def _closing(caps: Caps) -> list[str]:
    """The last words: the kernel's settings in /proc are closed, and /dev and /, which nobody limits."""
    size = ["--size", str(max(65536, caps.memory_bytes // 4))] if bubblewrap().sized else []
    closed = [word for place in ("/proc", "/dev", "/") for word in ("--remount-ro", place)]
    return [*size, "--tmpfs", "/dev/shm", *closed, "--chdir", "/"]


@dataclass(frozen=True, slots=True)
class Handed:
    """The descriptors that bubblewrap is handed, and the options that name them."""

    fds: Mapping[str, int]
    status: Status

    @property
    def flags(self) -> list[str]:
        """The options, up to the command itself."""
        return [*(word for name, fd in self.fds.items() for word in (name, str(fd))), "--"]


@contextmanager
def _handed(words: Sequence[str]) -> Generator[Handed]:
    """Yield a file with options and a pipe for news, closed afterwards.

    Raises:
        UsageError: an option holds a byte that would end it.
    """
    if any("\0" in word for word in words):
        raise UsageError("a variable or a place in the sandbox cannot hold a NUL character")
    read, write = os.pipe()
    os.set_blocking(read, False)
    fds = {"--json-status-fd": write, "--args": filled(b"".join(os.fsencode(word) + b"\0" for word in words))}
    if rules := bubblewrap().filter:
        fds["--seccomp"] = filled(rules)
    try:
        yield Handed(fds, Status(read))
    finally:
        for fd in (read, *fds.values()):
            os.close(fd)


@dataclass(slots=True)
class Status:
    """What bubblewrap says of itself: the process that all inside descend from, and how the command ended."""

    fd: int
    _text: bytes = b""

    def said(self) -> Mapping[str, int]:
        """Return the numbers told so far."""
        with suppress(BlockingIOError):
            self._text += os.read(self.fd, 65536)
        told: dict[str, int] = {}
        for line in self._text.splitlines():
            if line.strip().endswith(b"}"):
                told |= json.loads(line)
        return told

    def checked(self, ran: Ran) -> Ran:
        """Return a result.

        Raises:
            Infra: bubblewrap never came so far as to start the command.
        """
        if ran.ended != "exited" or ran.returncode == UNRUNNABLE or "exit-code" in self.said():
            return ran
        said = (ran.errors or ran.output).strip().splitlines() or ["no message"]
        raise Infra(f"bubblewrap could not start a command: {said[-1][:300]}")


@dataclass(frozen=True, slots=True)
class Inside:
    """The processes of a sandbox: its first one takes all others along when it is killed."""

    status: Status
    run: Run

    def members(self) -> list[int]:
        """Return what is alive: the first process inside, all below it, and bubblewrap in its group."""
        if self.run.folders:
            return [pid for pid in self.run.members() if alive(pid)]
        first = self.status.said().get("child-pid")
        return sorted(descendants([first])) if first else []

    def kill(self, number: int) -> bool:
        """Send a signal to each. Only SIGKILL goes to bubblewrap's own, which others would not survive."""
        first = self.status.said().get("child-pid", 0)
        own = {first, parent(first)} if first and number != signal.SIGKILL else set[int]()
        found = self.members()
        send([pid for pid in found if pid not in own], number)
        return bool(found)
