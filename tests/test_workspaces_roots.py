"""What workspaces leave on the disk: what is in use, and nothing of a process that is no more."""

from __future__ import annotations

import fcntl
import gc
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from tts.types import Task
from tts.workspaces import roots
from tts.workspaces.git import GitWorkspaces
from tts.workspaces.removal import remove
from tts.workspaces.roots import PREFIX, Root

CHILD = """
import sys, anyio
from pathlib import Path
from tts.types import Task
from tts.workspaces.git import GitWorkspaces

async def main():
    root = Path(sys.argv[1]) if sys.argv[1] else None
    async with GitWorkspaces(root).open(Task("t", "p", sys.argv[2], sys.argv[3])) as workspace:
        print(workspace.path, flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


def git(*args: str, cwd: Path) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(["git", *who, *args], cwd=cwd, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    place = tmp_path / "source"
    place.mkdir()
    git("init", "-q", cwd=place)
    for n in range(5):
        (place / "n").write_text(str(n))
        git("add", ".", cwd=place)
        git("commit", "-qm", str(n), cwd=place)
    return place


def tasks(source: Path) -> list[Task]:
    commits = git("rev-list", "HEAD", cwd=source).split()
    return [Task(commit[:5], "p", str(source), commit) for commit in commits]


def begun(root: Path | None, task: Task, **env: str) -> tuple[subprocess.Popen[str], Path]:
    """A process that works in a clone, and the clone."""
    arguments = [sys.executable, "-c", CHILD, str(root or ""), task.repo, task.base_commit]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env={**os.environ, **env})
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def ended(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def opened(root: Path | None, task: Task) -> str:
    """Open a clone and give everything up; return what its file says."""
    said: list[str] = []

    async def main() -> None:
        async with GitWorkspaces(root).open(task) as workspace:
            said.append((workspace.path / "n").read_text())

    anyio.run(main)
    for thread in threading.enumerate():  # the last ones that hold the workspaces
        if "worker" in thread.name.lower():
            thread.join(10)
    gc.collect()
    return said[0]


def test_the_next_start_removes_what_a_killed_process_left_and_nothing_else(
    source: Path, tmp_path: Path
) -> None:
    root, (task, *_) = tmp_path / "w", tasks(source)
    killed, gone = begun(root, task)
    living, there = begun(root, task)
    ended(killed)
    (gone / "closed").mkdir(mode=0)
    assert gone.exists()
    opened(root, task)
    assert not gone.parent.exists()
    assert (there / "n").exists()
    ended(living)
    opened(root, task)
    assert sorted(path.name.split("-")[0] for path in root.iterdir()) == [".owners", "template"]
    assert list((root / ".owners").iterdir()) == []


def test_a_temporary_folder_goes_with_its_process_or_at_the_next_start(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (task, *_) = tasks(source)
    parent = tmp_path / "tmp"
    parent.mkdir()
    killed, gone = begun(None, task, TMPDIR=str(parent))
    living, there = begun(None, task, TMPDIR=str(parent))
    ended(killed)
    assert gone.exists()
    done = begun(None, task, TMPDIR=str(parent))
    assert not gone.exists()
    assert there.exists()
    for process in (living, done[0]):
        ended(process)
    assert len(list(parent.glob(f"{PREFIX}*"))) == 2
    monkeypatch.setattr("tempfile.tempdir", str(parent))
    opened(None, task)
    assert list(parent.iterdir()) == []


def test_few_templates_are_kept_and_those_in_use_stay(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "w"

    async def main() -> None:
        workspaces = GitWorkspaces(root, keep=2)
        first, *others = tasks(source)
        async with workspaces.open(first) as workspace:
            for task in others:
                async with workspaces.open(task):
                    pass
            assert len(list(root.glob("template-*"))) <= 3
            (workspace.path / "n").write_text("changed\n")
            assert "+changed" in await workspace.diff()
        assert len(list(root.glob("template-*"))) == 2
        async with workspaces.open(others[0]) as workspace:
            assert (workspace.path / "n").read_text() == "3"

    anyio.run(main)


def test_with_a_depth_of_one_there_is_the_base_alone(source: Path, tmp_path: Path) -> None:
    git("tag", "later", cwd=source)
    base = tasks(source)[2]

    async def main() -> None:
        async with GitWorkspaces(tmp_path / "w", depth=1).open(base) as workspace:
            place = workspace.path
            assert git("rev-list", "--all", cwd=place) == base.base_commit
            assert git("fsck", "--full", "--unreachable", "--no-reflogs", cwd=place) == ""
            kinds = git("cat-file", "--batch-all-objects", "--batch-check=%(objecttype)", cwd=place).split()
            assert sorted(kinds) == ["blob", "commit", "tree"]
            assert git("status", "--porcelain", cwd=place) == ""
            assert await workspace.diff() == ""

    anyio.run(main)


def test_a_source_that_is_shallow_or_borrows_its_objects_is_cloned(source: Path, tmp_path: Path) -> None:
    git("clone", "-q", "--depth=2", f"file://{source}", "shallow", cwd=tmp_path)
    git("clone", "-q", "--shared", str(source), "borrowing", cwd=tmp_path)
    for name in ("shallow", "borrowing"):
        (task, *_) = tasks(tmp_path / name)
        assert opened(tmp_path / f"w-{name}", task) == "4"


def test_no_link_is_followed_when_a_folder_is_removed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("x")
    place = tmp_path / "place"
    (place / "in").mkdir(parents=True)
    (place / "in" / "link").symlink_to(tmp_path / "outside")
    (place / "in").chmod(0)
    remove(place)
    assert not place.exists()
    assert (tmp_path / "outside" / "file").exists()


def test_a_folder_too_deep_and_closed_for_its_owner_is_removed(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    at = os.open(place, os.O_RDONLY)
    for _ in range(2_000):
        os.mkdir("folder", dir_fd=at)
        inner = os.open("folder", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.mkdir("last", dir_fd=at)
    os.fchmod(at, 0)
    os.close(at)
    remove(place)
    assert not place.exists()


def test_a_name_that_is_no_owners_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".owners").mkdir()
    (tmp_path / ".owners" / "*").touch()
    os.mkfifo(tmp_path / ".owners" / "0123456789abc")
    (tmp_path / ".owners" / "fedcba987654").symlink_to("/etc/passwd")
    living = Root(tmp_path)
    place = living.place("attempt")
    other = Root(tmp_path)
    other.opened()
    assert place.exists()
    assert len(list((tmp_path / ".owners").iterdir())) == 5


def test_an_owner_swept_between_two_calls_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, swept = fcntl.flock, []

    def slow(file: Any, how: int) -> None:
        if how == fcntl.LOCK_EX and not swept:
            swept.append(True)
            roots.sweep(tmp_path)
        lock(file, how)

    monkeypatch.setattr(roots.fcntl, "flock", slow)
    living = Root(tmp_path)
    place = living.place("attempt")
    assert swept
    Root(tmp_path).opened()
    assert place.exists()


def test_a_temporary_folder_that_nobody_owns_is_swept_once_it_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("tts-new-dead", "tts-workspaces-old", "tts-new-young"):
        (tmp_path / name).mkdir()
    (tmp_path / "tts-new-dead" / ".owners").mkdir()
    (tmp_path / "tts-new-dead" / ".owners" / "0123456789ab").touch()
    os.utime(tmp_path / "tts-workspaces-old", (0, 0))
    root = Root()
    made = root.opened()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tts-new-young", made.name]


def test_what_a_killed_process_left_of_scratch_goes_at_the_next_start(tmp_path: Path) -> None:
    code = (
        "import os, signal, tempfile\n"
        "from tts.workspaces.roots import scratch_folder\n"
        "with scratch_folder('patch') as place:\n"
        "    (place / 'file').touch()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=env, check=False)
    assert len(list(tmp_path.glob("*/patch-*/file"))) == 1
    again = "from tts.workspaces.roots import Root; Root().opened()"
    subprocess.run([sys.executable, "-c", again], env=env, check=True)
    assert not list(tmp_path.iterdir())
