"""One clean clone per attempt, and the patch that the attempt leaves behind."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import weakref
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio import CancelScope, to_thread

from tts.errors import Infra, UsageError
from tts.types import Task, digest

JUNK = "__pycache__/\n*.pyc\n"
"""Patterns of what running the code leaves behind; git's exclude syntax."""

SERVE = "git -c safe.directory=* upload-pack"
"""How the source is read: it may belong to another user of the machine."""


@dataclass(frozen=True, slots=True)
class Template:
    """A pristine checkout at `tree`; `index` is git's list of its files, without their times."""

    tree: Path
    index: Path


@dataclass(frozen=True, slots=True)
class GitWorkspace:
    """One attempt's clone at `path`."""

    path: Path
    template: Template

    async def diff(self) -> str:
        """Return the git patch from the base commit to the files as they are now.

        The clone's own `.git` is not asked: the template's is, with an index and an object store that
        live for this call, so commits, settings and damage in the clone change nothing.  Files that are
        not UTF-8 text come as binary patches where git finds them binary; stray bytes are kept as
        surrogate escapes.

        Raises:
            Infra: git could not read the files.
        """
        with tempfile.TemporaryDirectory(prefix="diff-", dir=self.path.parent) as name:
            scratch = Path(name)
            (scratch / "objects").mkdir()
            shutil.copyfile(self.template.index, scratch / "index")
            env = {
                "GIT_DIR": str(self.template.tree / ".git"),
                "GIT_WORK_TREE": str(self.path),
                "GIT_INDEX_FILE": str(scratch / "index"),
                "GIT_OBJECT_DIRECTORY": str(scratch / "objects"),
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(self.template.tree / ".git" / "objects"),
            }
            inner = await to_thread.run_sync(_nested_repositories, self.path)
            await git(
                "add", "--all", "--", ".", *(f":(exclude,literal){i}" for i in inner), cwd=self.path, env=env
            )
            patch = await git(
                *("diff", "--cached", "--binary", "--full-index", "--no-renames", "HEAD"),
                cwd=self.path,
                env=env,
            )
        return patch.decode("utf-8", "surrogateescape")


class GitWorkspaces:
    """Clones of a task's repository at its base commit, each from a template made once.

    Templates and clones live under `root`; None stands for a temporary directory that is removed with
    this object.
    """

    def __init__(self, root: Path | None = None) -> None:
        self._root = _temporary(self) if root is None else root.resolve()
        self._locks: dict[str, anyio.Lock] = {}

    @asynccontextmanager
    async def open(self, task: Task) -> AsyncGenerator[GitWorkspace]:
        """Yield a clone of the task's repository; it is removed afterwards, whatever happens.

        Raises:
            UsageError: git is missing, or the task names no repository or commit that can be fetched.
        """
        template = await self._template(task)
        path = Path(tempfile.mkdtemp(prefix="clone-", dir=self._root))
        try:
            await to_thread.run_sync(_copy, template.tree, path)
            yield GitWorkspace(path, template)
        finally:
            with CancelScope(shield=True):
                await to_thread.run_sync(_remove, path)

    async def _template(self, task: Task) -> Template:
        if not task.repo or not task.base_commit:
            raise UsageError(
                f"task {task.id} has no repository and commit to clone; set repo and base_commit"
            )
        place = self._root / f"template-{digest([task.repo, task.base_commit])[:16]}"
        async with self._locks.setdefault(place.name, anyio.Lock()):
            if not await anyio.Path(place).exists():
                await self._make(task, place)
        return Template(place / "tree", place / "index")

    async def _make(self, task: Task, place: Path) -> None:
        await anyio.Path(self._root).mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix="draft-", dir=self._root))
        try:
            await _check_out(task, draft)
            await to_thread.run_sync(_settle, draft, place)
        finally:
            with CancelScope(shield=True):
                await to_thread.run_sync(_remove, draft)


def check_place(task: Task) -> None:
    """Check that git can take the task's repository and commit for nothing else, such as options.

    Raises:
        UsageError: the commit is no full hash, or the repository's address begins with a dash.
    """
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", task.base_commit):
        raise UsageError(f"task {task.id}: base_commit is a full commit hash, not {task.base_commit[:80]!r}")
    if task.repo.startswith("-"):
        raise UsageError(f"task {task.id}: repo is a path or an address, not {task.repo[:80]!r}")


async def _check_out(task: Task, draft: Path) -> None:
    check_place(task)
    tree = draft / "tree"
    await git("init", "--quiet", "--template=", "--initial-branch=main", str(tree), cwd=draft)
    fetch = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", f"--upload-pack={SERVE}")
    try:
        await git(*fetch, "--", task.repo, task.base_commit, cwd=tree)
        await git(
            "-c", "core.logAllRefUpdates=false", "reset", "--quiet", "--hard", task.base_commit, cwd=tree
        )
    except Infra as problem:
        message = f"task {task.id}: cannot fetch commit {task.base_commit} of {task.repo}: {problem}"
        raise UsageError(message) from problem
    info = anyio.Path(tree / ".git" / "info")
    await info.mkdir(exist_ok=True)
    await (info / "exclude").write_text(JUNK)
    await git("read-tree", "HEAD", cwd=tree, env={"GIT_INDEX_FILE": str(draft / "index")})


async def git(*args: str, cwd: Path, env: Mapping[str, str] | None = None) -> bytes:
    """Return what git prints; the user's and the system's settings have no say in it.

    Raises:
        UsageError: git is not installed.
        Infra: git failed; the message is the last line that it said.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    fixed = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_ATTR_NOSYSTEM": "1"}
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "file:https:ssh", "LC_ALL": "C"}
    try:
        done = await anyio.run_process(
            ["git", *args], cwd=cwd, env={**kept, **fixed, **quiet, **(env or {})}, check=False
        )
    except FileNotFoundError as problem:
        raise UsageError("git is not installed, or not on PATH; install git and try again") from problem
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise Infra(f"git {args[0]} failed: {said[-1]}")
    return done.stdout


def _nested_repositories(path: Path) -> list[str]:
    """Repositories that were made inside the clone: git would list each as a submodule, or stop."""
    found: list[str] = []
    for place, folders, files in os.walk(path):
        if place != str(path) and ".git" in (*folders, *files):
            found.append(os.path.relpath(place, path))
            folders.clear()
        elif ".git" in folders:
            folders.remove(".git")
    return found


def _settle(draft: Path, place: Path) -> None:
    try:
        draft.rename(place)
    except OSError:
        if not place.exists():  # else another process was first, which is as good
            raise


def _copy(tree: Path, path: Path) -> None:
    shutil.copytree(tree, path, symlinks=True, dirs_exist_ok=True, copy_function=shutil.copy)


def _remove(path: Path) -> None:
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except PermissionError:  # an attempt may take away its own rights to its folders
        for place, folders, _ in os.walk(path):
            for folder in (place, *(os.path.join(place, name) for name in folders)):
                if not os.path.islink(folder):
                    os.chmod(folder, stat.S_IRWXU)
        shutil.rmtree(path)


def _temporary(owner: object) -> Path:
    root = Path(tempfile.mkdtemp(prefix="tts-workspaces-")).resolve()
    weakref.finalize(owner, shutil.rmtree, root, ignore_errors=True)
    return root
