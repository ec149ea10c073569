"""A pristine checkout of one commit, from which attempts are copied; and a few of them, kept by use."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio import CancelScope, to_thread

from tts.errors import Infra, UsageError
from tts.types import Task, digest
from tts.workspaces.removal import remove
from tts.workspaces.roots import Root
from tts.workspaces.running import check_place, git, not_fetched, serving

JUNK = (
    "__pycache__/\n*.py[cod]\n.pytest_cache/\n.mypy_cache/\n.ruff_cache/\n.hypothesis/\n.tox/\n.nox/\n"
    "*.egg-info/\n.eggs/\n.coverage\n.DS_Store\n"
)
"""Patterns of what building and testing leave behind, in git's exclude syntax; tracked files stay in."""

EXACT = "* -text !eol -ident -filter !working-tree-encoding !diff !merge\n"
"""Attributes above those of the repository and of the attempt: files are their bytes, and nothing else."""

SETTINGS = (
    ("core.logAllRefUpdates", "false"),
    ("core.checkStat", "minimal"),
    ("core.trustctime", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
)


@dataclass(frozen=True, slots=True)
class Template:
    """A checkout at `tree`; `index` is git's list of its files, without their times."""

    place: Path
    commit: str

    @property
    def tree(self) -> Path:
        """The checkout with its `.git`, to be copied."""
        return self.place / "tree"

    @property
    def index(self) -> Path:
        """The list of the commit's files."""
        return self.place / "index"

    @property
    def objects(self) -> Path:
        """Where its objects lie; read, and never written."""
        return self.tree / ".git" / "objects"

    async def copy(self, target: Path) -> None:
        """Copy the checkout to a folder that is not there yet. Nothing is shared that could be written.

        Raises:
            Infra: it could not be copied.
        """
        await to_thread.run_sync(_copied, self.tree, target)


def _copied(tree: Path, target: Path) -> None:
    how = ["cp", "-a", "--reflink=auto", "--", str(tree), str(target)]
    try:
        done = subprocess.run(how, capture_output=True, check=False, stdin=subprocess.DEVNULL)
        failed = done.returncode != 0  # a cp that knows no such option
    except FileNotFoundError:
        failed = True
    if failed:
        try:
            shutil.copytree(tree, target, symlinks=True, dirs_exist_ok=True)
        except (OSError, shutil.Error) as problem:
            raise Infra(f"cannot copy a checkout: {problem}") from problem


class Templates:
    """Makes templates in a folder and keeps those used last, at most `keep` beside those in use.

    `depth` is how many commits they hold, None: the base commit with all its ancestors. Processes that share
    the folder share the templates: one that is in use is locked, and is not removed.
    """

    def __init__(self, root: Root, depth: int | None, keep: int) -> None:
        self._root, self._depth, self._keep = root, depth, keep
        self._locks: dict[str, anyio.Lock] = {}

    @asynccontextmanager
    async def use(self, task: Task) -> AsyncGenerator[Template]:
        """Yield the template of a task.

        Raises:
            UsageError: git is missing, or the task names no repository or commit that is there.
            Infra: a host could not be reached, or has no such commit.
        """
        if not task.repo or not task.base_commit:
            raise UsageError(
                f"task {task.id} has no repository and commit to clone; set repo and base_commit"
            )
        check_place(task)
        root = await to_thread.run_sync(self._root.opened)
        place = root / f"template-{digest([task.repo, task.base_commit, self._depth])[:16]}"
        lock = await self._held(task, place)
        try:
            yield Template(place, task.base_commit)
        finally:
            os.close(lock)
            with CancelScope(shield=True):
                await to_thread.run_sync(self._evict)

    async def _held(self, task: Task, place: Path) -> int:
        """Return a descriptor that keeps the template where it is, made first where there is none."""
        async with self._locks.setdefault(place.name, anyio.Lock()):
            while True:
                if (lock := await to_thread.run_sync(_shared, place)) is not None:
                    return lock
                await self._make(task, place)

    async def _make(self, task: Task, place: Path) -> None:
        draft = await to_thread.run_sync(self._root.place, "draft")
        try:
            await _check_out(task, draft, self._depth)
            await to_thread.run_sync(_settle, draft, place)
        finally:
            with CancelScope(shield=True):
                await to_thread.run_sync(remove, draft)

    def _evict(self) -> None:
        """Remove the templates used longest ago; one that anybody uses stays."""
        ages: list[tuple[float, Path]] = []
        for path in self._root.opened().glob("template-*"):
            try:
                ages.append(((path / "index").stat().st_mtime, path))
            except FileNotFoundError:
                continue
        for _, path in sorted(ages, reverse=True)[self._keep :]:
            _retire(path, self._root)


def _shared(place: Path) -> int | None:
    """Return a descriptor with a shared lock on a template, None where there is no template."""
    try:
        lock = os.open(place / "index", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    fcntl.flock(lock, fcntl.LOCK_SH)
    try:
        same = os.path.samestat(os.fstat(lock), os.lstat(place / "index"))
    except FileNotFoundError:
        same = False
    if not same:  # removed meanwhile, and perhaps made anew
        os.close(lock)
        return None
    os.utime(place / "index")
    return lock


def _retire(place: Path, root: Root) -> None:
    try:
        lock = os.open(place / "index", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        gone = root.place("gone")
        place.rename(gone / "template")
    except (BlockingIOError, FileNotFoundError):
        return
    finally:
        os.close(lock)
    remove(gone)


async def _check_out(task: Task, draft: Path, depth: int | None) -> None:
    tree = draft / "tree"
    form = "sha256" if len(task.base_commit) == 64 else "sha1"
    start = ("--quiet", "--template=", "--initial-branch=main", f"--object-format={form}")
    await git("init", *start, str(tree), cwd=draft)
    await to_thread.run_sync(_inform, tree / ".git")
    for name, value in SETTINGS:
        await git("config", name, value, cwd=tree)
    await _fetch(task, tree, depth)
    await git("read-tree", "HEAD", cwd=tree, env={"GIT_INDEX_FILE": str(draft / "index")})


def _inform(folder: Path) -> None:
    (folder / "info").mkdir(exist_ok=True)
    (folder / "info" / "exclude").write_text(JUNK)
    (folder / "info" / "attributes").write_text(EXACT)


async def _fetch(task: Task, tree: Path, depth: int | None) -> None:
    fetch = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--update-shallow", "--no-auto-gc"]
    fetch += ["--no-recurse-submodules"]
    fetch += [*serving(task.repo)]
    fetch += [f"--depth={depth}"] if depth is not None else []
    try:
        await git(*fetch, "--", task.repo, task.base_commit, cwd=tree)
        await git("reset", "--quiet", "--hard", task.base_commit, cwd=tree)
    except Infra as problem:
        raise not_fetched(task, problem) from problem


def _settle(draft: Path, place: Path) -> None:
    ready = draft / "ready"
    ready.mkdir()
    for name in ("tree", "index"):
        (draft / name).rename(ready / name)
    try:
        ready.rename(place)
    except OSError:
        if not place.exists():  # else another process was first, which is as good
            raise
