"""One clean clone per attempt, and the patch that the attempt leaves behind."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio import CancelScope, to_thread

from tts.hostile import size_of
from tts.types import Task
from tts.workspaces.changes import applies, patch_of
from tts.workspaces.removal import remove
from tts.workspaces.roots import Root
from tts.workspaces.running import check_place, git, not_fetched, serving
from tts.workspaces.template import Template, Templates

__all__ = ["GitWorkspace", "GitWorkspaces", "check_place", "git", "not_fetched", "serving"]

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class GitWorkspace:
    """One attempt's clone at `path`. The folder around it belongs to the attempt alone, and goes with it."""

    path: Path
    template: Template
    max_patch_bytes: int = 16 * MIB

    async def diff(self) -> str:
        """Return the git patch from the base commit to the files as they are now: see `patch_of`.

        Raises:
            LimitReached: it would be larger than `max_patch_bytes`.
            Infra: git could not read the files.
        """
        return await patch_of(self.template, self.path, self.max_patch_bytes)

    async def applies(self, patch: str) -> bool:
        """Return whether a patch is small enough and applies to the base commit; the clone is not touched."""
        if size_of(patch) > self.max_patch_bytes:
            return False
        return await applies(self.template, self.path, patch)


class GitWorkspaces:
    """Clones of a task's repository at its base commit, each from a template made once.

    They live under `root`; None stands for a temporary folder that is removed with this object. What a
    process that was killed left there is removed when the next one starts. `depth` is how many commits a
    clone holds, 1: the base commit alone, None: with all its ancestors. At most `keep` templates are kept
    beside those in use.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        depth: int | None = None,
        max_patch_bytes: int = 16 * MIB,
        keep: int = 8,
    ) -> None:
        self._given = root, depth, max_patch_bytes, keep
        self._root = Root(root)
        self._templates = Templates(self._root, depth, keep)
        self._max_patch_bytes = max_patch_bytes

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process, or on another machine, it makes clones of its own."""
        return _again, self._given

    @asynccontextmanager
    async def open(self, task: Task) -> AsyncGenerator[GitWorkspace]:
        """Yield a clone of the task's repository; it is removed afterwards, whatever happens.

        Raises:
            UsageError: git is missing, or the task names no repository or commit that can be fetched.
        """
        async with self._templates.use(task) as template:
            place = await to_thread.run_sync(self._root.place, "attempt")
            try:
                await template.copy(place / "tree")
                yield GitWorkspace(place / "tree", template, self._max_patch_bytes)
            finally:
                with CancelScope(shield=True):
                    await to_thread.run_sync(remove, place)


def _again(root: Path | None, depth: int | None, max_patch_bytes: int, keep: int) -> GitWorkspaces:
    return GitWorkspaces(root, depth=depth, max_patch_bytes=max_patch_bytes, keep=keep)
