"""Limits on processes taken together, by the kernel's control groups where this process may make some."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence, Set
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType

import anyio
from anyio import CancelScope

from tts.errors import Infra
from tts.sandboxes.box import Caps, Ended
from tts.sandboxes.table import born, send

JOIN = 'n=$1; shift; while [ "$n" -gt 0 ]; do echo 0 >"$1" || exit 125; shift; n=$((n-1)); done; exec "$@"'
"""A shell's way into groups: it writes itself into each file that it is given, then becomes the command."""


PIDS = ("pids.max", "processes")
Event = tuple[str, str, Ended]
OOM_ONE: Event = ("memory.oom_control", "oom_kill", "memory")
OOM_TWO: Event = ("memory.events", "oom_kill", "memory")
FORK: Event = ("pids.events", "max", "processes")


@dataclass(frozen=True, slots=True)
class Controller:
    """A folder below which groups can be made, and the files by which one kind of limit is set and read."""

    place: Path
    limits: Sequence[tuple[str, str]]
    events: Sequence[Event]


@cache
def controllers() -> tuple[Controller, ...]:
    """Return what can limit memory and processes here; groups that a killed run left are removed."""
    found = _version_two() or _version_one()
    for controller in found:
        sweep(controller.place)
    return found


def _version_two() -> tuple[Controller, ...]:
    """Return the one folder of version 2, when both controllers can be handed to groups below it."""
    place = _own("", "cgroup2")
    if place is None:
        return ()
    try:
        if not {"memory", "pids"} <= set((place / "cgroup.controllers").read_text().split()):
            return ()
        if not {"memory", "pids"} <= set((place / "cgroup.subtree_control").read_text().split()):
            _hand_down(place)
    except OSError:
        return ()
    limits = (("memory.max", "memory"), ("memory.swap.max", "zero"), ("memory.oom.group", "one"), PIDS)
    both = Controller(place, limits, (OOM_TWO, FORK))
    return (both,) if _works(both) else ()


def _hand_down(place: Path) -> None:
    """Let groups below have the controllers; a group that holds processes may not, so this one moves."""
    inside = (place / "cgroup.procs").read_text().split()
    if inside == [str(os.getpid())]:
        leaf = place / f"tts-self-{os.getpid()}"
        leaf.mkdir()
        (leaf / "cgroup.procs").write_text("0")
    (place / "cgroup.subtree_control").write_text("+memory +pids")


def _version_one() -> tuple[Controller, ...]:
    memory = (("memory.limit_in_bytes", "memory"), ("memory.memsw.limit_in_bytes", "memory"))
    kinds = {
        "memory": (memory, (OOM_ONE,)),
        "pids": ((PIDS,), (FORK,)),
    }
    places = {name: _own(name, "cgroup") for name in kinds}
    made = [Controller(place, *kinds[name]) for name, place in places.items() if place is not None]
    return tuple(controller for controller in made if _works(controller))


def _own(name: str, kind: str) -> Path | None:
    """Return the folder of the group that this process is in, for a controller of version 1 or for 2."""
    root = None
    try:
        for line in Path("/proc/self/mounts").read_text().splitlines():
            _, where, what, options, *_ = line.split()
            if what == kind and (not name or name in options.split(",")):
                root = Path(where)
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            if root is not None and name in names.split(","):
                place = root / path.lstrip("/")
                return place if place.is_dir() else None
    except OSError:
        return None
    return None


def _works(controller: Controller) -> bool:
    probe = controller.place / _name()
    try:
        probe.mkdir()
        (probe / controller.limits[0][0]).write_text(str(1 << 20))
    except OSError:
        return False
    finally:
        _remove(probe)
    return True


def _name() -> str:
    return f"tts-{os.getpid()}-{born(os.getpid())}-{secrets.token_hex(4)}"


def sweep(place: Path) -> None:
    """End and remove what was left by a process that is no more."""
    for group in place.glob("tts-*-*-*"):
        _, pid, began, _ = group.name.split("-", 3)
        if not pid.isdigit() or born(int(pid)) == began:
            continue
        for inner in (*group.glob("*/cgroup.procs"), group / "cgroup.procs"):
            send(map(int, _text(inner).split()), 9)
        _remove(group)  # else at the next start: what was killed may not have gone yet


def _make(group: Path, files: Mapping[str, str] = MappingProxyType({})) -> None:
    """Make a group and write what is to stand in those of its files that this kernel has.

    Raises:
        Infra: the kernel refuses.
    """
    handed = {"cgroup.subtree_control": "+memory +pids"} if files else {}
    try:
        group.mkdir()
        for file, text in {**files, **handed}.items():
            if (group / file).exists():
                (group / file).write_text(text)
    except OSError as problem:
        raise Infra(f"cannot make a control group: {problem}") from problem


def _remove(group: Path) -> bool:
    """Remove a group and those below; False while a process of it is still on its way out."""
    for folder in (*group.glob("*/"), group):
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Group:
    """The groups of one box, one folder per controller; none where the machine lets us make none."""

    caps: Caps
    folders: tuple[tuple[Controller, Path], ...] = ()

    @staticmethod
    def problems() -> list[str]:
        """Return what is not limited by the kernel here."""
        said = {
            "memory": "no memory control group: memory is limited per process, its sum is only watched",
            "pids": "no pids control group: the number of processes is only watched",
        }
        files = {file.partition(".")[0] for one in controllers() for file, _ in one.limits}
        return [text for name, text in said.items() if name not in files]

    @property
    def missing(self) -> Set[str]:
        """What of memory and processes the kernel does not limit here."""
        return {"memory", "processes"} - {
            ended for controller, _ in self.folders for _, _, ended in controller.events
        }

    @contextmanager
    def run(self) -> Generator[Run]:
        """Yield the groups of one command, removed after it."""
        below = [(controller, place / secrets.token_hex(4)) for controller, place in self.folders]
        for _, place in below:
            _make(place)
        run = Run(self, tuple(below))
        run.before.update(run.counted())
        try:
            yield run
        finally:
            for _, place in below:
                _remove(place)  # else with the box


@dataclass(frozen=True, slots=True)
class Run:
    """The groups of one command, below those of its box."""

    group: Group
    folders: tuple[tuple[Controller, Path], ...]
    before: dict[Ended, int] = field(default_factory=dict[Ended, int])

    def joining(self) -> list[str]:
        """Return the beginning of a command that enters the groups first."""
        files = [str(place / "cgroup.procs") for _, place in self.folders]
        return ["/bin/sh", "-c", JOIN, "sh", str(len(files)), *files] if files else []

    def members(self) -> list[int]:
        """Return the processes in the groups."""
        texts = [_text(place / "cgroup.procs") for _, place in self.folders]
        return sorted({int(pid) for text in texts for pid in text.split()})

    def counted(self) -> dict[Ended, int]:
        """Return how often each limit was hit since the groups were made."""
        counts: dict[Ended, int] = {}
        for controller, place in self.folders:
            for file, key, ended in controller.events:
                texts = _text(place / file) + _text(place.parent / file)
                rows = [line.split() for line in texts.splitlines()]
                counts[ended] = sum(int(row[1]) for row in rows if len(row) == 2 and row[0] == key)
        return counts

    def hit(self) -> Ended | None:
        """Return which limit the command has hit, if any."""
        now = self.counted()
        return next((ended for ended, count in now.items() if count > self.before.get(ended, 0)), None)


@asynccontextmanager
async def grouped(caps: Caps) -> AsyncGenerator[Group]:
    """Yield the groups of a box with their limits set; they are removed afterwards."""
    values = {"memory": caps.memory_bytes, "processes": caps.processes, "zero": 0, "one": 1}
    folders = [(controller, controller.place / _name()) for controller in controllers()]
    try:
        for controller, place in folders:
            _make(place, {file: str(values[what]) for file, what in controller.limits})
        yield Group(caps, tuple(folders))
    finally:
        with CancelScope(shield=True):
            for _ in range(200):  # the killed are gone once their parent has looked
                if not [place for _, place in folders if not _remove(place)]:
                    break
                await anyio.sleep(0.01)
