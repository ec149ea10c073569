"""What the watch sees of memory and of the disk."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import anyio
import pytest

from tts.errors import Infra
from tts.sandboxes import watch
from tts.sandboxes.box import CAPS, Ended
from tts.sandboxes.groups import Group, Run
from tts.sandboxes.table import resident_bytes
from tts.sandboxes.watch import Meter, Watch, metered

MIB = 1024 * 1024
SHARED = "import mmap; kept = mmap.mmap(-1, 24 << 20); kept.write(b'x' * (24 << 20))"
UNLINKED = """
import mmap, os, sys
with open(sys.argv[1], "w+b") as file:
    file.write(b"x" * (8 << 20))
    file.flush()
    kept = mmap.mmap(file.fileno(), 0)
os.unlink(sys.argv[1])
"""


@contextmanager
def child(code: str, *args: str) -> Iterator[int]:
    """Run code until the block is left; it has come to its end when the block begins."""
    script = f"{code}\nprint(flush=True)\ninput()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script, *args], **pipes) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.communicate(b"\n")


def test_shared_memory_counts() -> None:
    with child(SHARED) as pid:
        assert resident_bytes([pid], 8 * MIB) >= 24 * MIB
        assert resident_bytes([pid], 1024 * MIB) >= 24 * MIB


def test_a_file_without_a_name_that_is_only_mapped_counts(tmp_path: Path) -> None:
    with child(UNLINKED, str(tmp_path / "gone")) as pid:
        assert not list(tmp_path.iterdir())
        assert watch._nameless([pid]) >= 8 * MIB


def test_shared_memory_is_no_file() -> None:
    with child(SHARED) as pid:
        assert watch._nameless([pid]) == 0


@pytest.mark.parametrize(
    ("free", "due"),
    [((1000 * MIB, 10**6), False), ((989 * MIB, 10**6), True), ((1000 * MIB, 10**6 - 300_000), True)],
)
def test_what_the_disk_has_lost_is_measured_at_once_however_dear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: tuple[int, int], due: bool
) -> None:
    monkeypatch.setattr(watch, "_free", lambda place: (1000 * MIB, 10**6))
    meter = Meter(replace(CAPS, total_bytes=10 * MIB), [tmp_path])
    assert meter.due()
    anyio.run(meter.measure, ())
    meter._cost = 1e6
    monkeypatch.setattr(watch, "_free", lambda place: free)
    assert meter.due() is due
    assert meter.worth() is due


def test_a_folder_closed_to_its_owner_is_opened_to_be_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed").chmod(0o300)
    told = iter([(0, True), (4096, False)])
    monkeypatch.setattr(watch, "_du", lambda folders: next(told))
    assert watch._size([tmp_path], ()) == 4096
    assert (tmp_path / "closed").stat().st_mode & 0o700 == 0o700


def watching(place: Path, members: Callable[[], list[int]]) -> Ended:
    """Which limit a watch finds to be passed, where the kernel limits nothing."""
    passed: list[Ended] = []

    async def main() -> None:
        with anyio.fail_after(10):
            meter = await metered(CAPS, [place])
            async with anyio.create_task_group() as group:

                def stop(why: Ended) -> None:
                    passed.append(why)
                    group.cancel_scope.cancel()

                group.start_soon(Watch(meter, Run(Group(CAPS), ()), members, meter.known), stop)

    anyio.run(main)
    return passed[0]


MANY = list(range(10**9, 10**9 + CAPS.processes + 1))


def test_a_look_that_was_held_up_does_not_put_off_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([0.2, 0.0])
    monkeypatch.setattr(watch, "LONGEST_SECONDS", 1e6)

    def members() -> list[int]:
        time.sleep(wait := next(looks))  # as on a machine whose processors others have
        return [] if wait else MANY

    assert watching(tmp_path, members) == "processes"


def test_processes_are_looked_at_while_the_disk_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measures, looked, over = count(), threading.Event(), threading.Event()

    def size(folders: Sequence[Path], pids: Sequence[int]) -> int:
        if next(measures):
            looked.set()
            assert over.wait(10)
        return 0

    monkeypatch.setattr(watch, "_size", size)
    monkeypatch.setattr(Meter, "due", lambda self: True)
    assert watching(tmp_path, lambda: MANY if looked.is_set() else []) == "processes"
    over.set()


def test_a_measuring_that_fails_is_the_machines_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Infra, match="cannot measure a folder"):
        anyio.run(metered, CAPS, [tmp_path])
    (tmp_path / "du").write_text("#!/bin/sh\nkill -9 $$\n")
    (tmp_path / "du").chmod(0o700)
    with pytest.raises(Infra, match="du was ended by signal 9"):
        anyio.run(metered, CAPS, [tmp_path])
