"""What the watch sees of memory and of the disk."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from tts.sandboxes import watch
from tts.sandboxes.box import CAPS
from tts.sandboxes.groups import Group, Run
from tts.sandboxes.table import resident_bytes
from tts.sandboxes.watch import Meter, Watch

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


@pytest.mark.parametrize("code", [SHARED, "import os; os.write(os.memfd_create('x'), bytes(1 << 20))"])
def test_shared_memory_is_no_file(code: str) -> None:
    with child(code) as pid:
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


def test_a_look_that_was_held_up_does_not_put_off_the_next(tmp_path: Path) -> None:
    looks = iter([0.2, 0.0])
    passed: list[str] = []

    def members() -> list[int]:
        time.sleep(wait := next(looks))  # as on a machine whose processors others have
        return [] if wait else list(range(10**9, 10**9 + CAPS.processes + 1))

    async def main() -> None:
        with anyio.fail_after(10):
            await Watch(Meter(CAPS, [tmp_path]), Run(Group(CAPS), ()), members)(passed.append)

    anyio.run(main)
    assert passed == ["processes"]
