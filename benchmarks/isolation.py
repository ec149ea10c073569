"""What a clean clone of a large tree costs, and whether anything after its base commit can be reached.

    python -m benchmarks.isolation [--quick] [--json]

A repository of 7,000 files and about 75 MB (quick: a tenth) with one commit after the base is made; then
clones, patches and removals are timed, one after another and sixteen at once.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from statistics import median

import anyio

from benchmarks.goals import Figure, report, started
from tts.types import Task
from tts.workspaces.git import GitWorkspace, GitWorkspaces

FILES = 7_000
BYTES = 75_000_000
WHO = ("-c", "user.name=a", "-c", "user.email=a@b")


def git(*words: str, cwd: Path) -> str:
    """Return what git prints."""
    done = subprocess.run(["git", *WHO, *words], cwd=cwd, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def source(place: Path, share: float) -> tuple[Task, list[str]]:
    """Make the repository; return a task at its base, and the objects that came later."""
    rng, words = Random(0), [f"word{i}" for i in range(2_000)]
    place.mkdir()
    git("init", "-q", cwd=place)
    n_files = round(FILES * share)
    for i in range(n_files):
        path = place / f"pkg{i % 97}" / f"part{i % 7}" / f"file{i}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        n_words = BYTES // FILES // 9
        path.write_text("\n".join(" ".join(rng.choices(words, k=12)) for _ in range(n_words // 12)))
    git("add", ".", cwd=place)
    git("commit", "-qm", "base", cwd=place)
    base = git("rev-parse", "HEAD", cwd=place)
    (place / "later.txt").write_text("the fix")
    git("add", ".", cwd=place)
    git("commit", "-qm", "later", cwd=place)
    later = git("rev-parse", "HEAD", "HEAD:later.txt", cwd=place).split()
    return Task("t", "p", str(place), base), later


def reachable(place: Path, later: Sequence[str]) -> int:
    """Return how many of the later objects, and of unreachable ones, a clone holds."""
    there = git("cat-file", "--batch-all-objects", "--batch-check", cwd=place)
    loose = git("fsck", "--full", "--unreachable", "--no-reflogs", cwd=place)
    logged = git("log", "--all", "--format=%s", cwd=place).splitlines()
    return sum(name in there for name in later) + len(loose.splitlines()) + len(logged) - 1


async def timed(task: Task, later: Sequence[str], n: int) -> tuple[list[float], list[float], float, int]:
    """Return seconds of clones and of patches, of sixteen clones at once, and the objects found."""
    workspaces, clones, patches, found = GitWorkspaces(depth=1), list[float](), list[float](), 0
    async with workspaces.open(task) as workspace:
        found = reachable(workspace.path, later)
    for _ in range(n):
        began = time.perf_counter()
        async with workspaces.open(task) as workspace:
            clones.append(time.perf_counter() - began)
            (workspace.path / "new.py").write_text("x = 1\n")
            began = time.perf_counter()
            assert "+x = 1" in await workspace.diff()
            patches.append(time.perf_counter() - began)
    began = time.perf_counter()
    await _at_once(workspaces, task)
    return clones, patches, time.perf_counter() - began, found


async def _at_once(workspaces: GitWorkspaces, task: Task) -> None:
    opened: list[GitWorkspace] = []
    everybody = anyio.Event()

    async def one() -> None:
        async with workspaces.open(task) as workspace:
            opened.append(workspace)
            if len(opened) == 16:
                everybody.set()
            await everybody.wait()

    async with anyio.create_task_group() as group:
        for _ in range(16):
            group.start_soon(one)


def main(flags: Sequence[str]) -> int:
    """Run, print and return the exit code."""
    with tempfile.TemporaryDirectory() as name:
        task, later = source(Path(name) / "source", 0.1 if "--quick" in flags else 1.0)
        clones, patches, together, found = anyio.run(timed, task, later, 10)
    figures = [
        Figure("a clone, median", median(clones), 1.0, kind="most", unit="s"),
        Figure("its patch, median", median(patches), 1.0, kind="most", unit="s"),
        Figure("16 clones at once, made and removed, each", together / 16, 1.0, kind="most", unit="s"),
        Figure("objects after the base, or unreachable", float(found), 0.0),
    ]
    return report("isolation", figures, as_json="--json" in flags)


if __name__ == "__main__":
    started(main, __doc__)
