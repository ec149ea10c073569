"""Puts a model's patch and the test patch together, in git's index and not on disk."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import anyio
from anyio import to_thread

from tts.benches.swebench.environment import Environment
from tts.benches.swebench.tamper import Guard, guard
from tts.errors import Infra
from tts.sandboxes.box import Order, Sandbox
from tts.workspaces.running import FIXED, SETTINGS, git

PATCH_BYTES = 64 * 1024 * 1024
"""The largest patch that is applied."""

FALLBACK = ("patch", "--batch", "--forward", "--fuzz=5", "-p1", "--no-backup-if-mismatch")
"""swebench's last way of applying a patch that git will not take."""

UNSTARTED = (126, 127)
"""Exit statuses of a program that is missing or cannot be run."""

NOT_THERE = "000000"
"""The mode of what is not there."""

TROUBLE = re.compile(
    r"(?:: (?:No space left on device|Disk quota exceeded|Input/output error|Read-only file system"
    r"|Too many open files|Cannot allocate memory|Permission denied)|: [Uu]nable to write new index file)\Z"
)
"""How git's last line ends where the machine is at fault; what a patch names stands before such an end."""

LONE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Halves of characters that stand for no byte."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that differs from the base; `mode` and `blob` are those there, zeros where it is new."""

    path: str
    mode: str
    blob: str
    deleted: bool


@dataclass(frozen=True, slots=True)
class Merged:
    """The files that a checkout is given and those it loses.

    `dropped` were not taken from the patch; `fixed` are those that the tests must leave as they are.
    """

    env: Mapping[str, str]
    base: Path
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    dropped: tuple[str, ...]
    fixed: tuple[str, ...]

    async def place(self, tree: Path) -> None:
        """Bring a copy of the prepared checkout to this state; git follows no symlink on the way."""
        await to_thread.run_sync(_remove_files, tree, self.removed)
        names = b"".join(os.fsencode(path) + b"\0" for path in self.changed)
        env = {**self.env, "GIT_WORK_TREE": str(tree)}
        await git("checkout-index", "--force", "-z", "--stdin", cwd=tree, env=env, stdin=names)


class Index:
    """An index of its own over an environment's base commit; new objects live beside it."""

    def __init__(self, env: Environment, scratch: Path, name: str) -> None:
        self.scratch, self.base = scratch, env.base
        (scratch / "objects").mkdir(exist_ok=True)
        self.env = {
            "GIT_DIR": str(env.base),
            "GIT_INDEX_FILE": str(scratch / name),
            "GIT_OBJECT_DIRECTORY": str(scratch / "objects"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(env.base / "objects"),
        }

    async def reset(self) -> None:
        """Go back to the base."""
        await git("read-tree", "HEAD", cwd=self.scratch, env=self.env)

    async def apply(self, patch: str) -> bool:
        """Apply a patch as swebench tries to, exactly and then with three ways; False where git refuses.

        Raises:
            Infra: git could not work.
        """
        file = self.scratch / "patch.diff"
        await anyio.Path(file).write_bytes(patch_bytes(patch))
        before = await git("write-tree", cwd=self.scratch, env=self.env)
        for way in ((), ("--3way",)):
            words = ("apply", "--cached", "--whitespace=nowarn", *way, str(file))
            if await _accepted(*words, cwd=self.scratch, env=self.env):
                return True
            await git("read-tree", before.decode().strip(), cwd=self.scratch, env=self.env)
        return False

    async def changes(self) -> list[Entry]:
        """Return what differs from the base."""
        said = await git(
            *("diff-index", "--cached", "--raw", "-z", "--no-renames", "--no-abbrev", "HEAD"),
            cwd=self.scratch,
            env=self.env,
        )
        words = said.split(b"\0")[:-1]
        return [_entry(told, path) for told, path in zip(words[::2], words[1::2], strict=True)]

    async def restore(self, entries: Sequence[Entry]) -> None:
        """Put files back to the base: first those go that are not there, then the others come."""
        gone = [e for e in entries if e.mode == NOT_THERE]
        lines = [b"0 " + b"0" * 40 + b"\t" + os.fsencode(e.path) for e in gone]
        lines += [f"{e.mode} {e.blob}\t".encode() + os.fsencode(e.path) for e in entries if e not in gone]
        text = b"".join(line + b"\0" for line in lines)
        await git("update-index", "-z", "--index-info", cwd=self.scratch, env=self.env, stdin=text)

    async def paths(self) -> list[str]:
        """Return every file of the base."""
        return await self._names("ls-tree", "-r", "-z", "--name-only", "HEAD")

    async def files(self) -> list[str]:
        """Return every file of the index."""
        return await self._names("ls-files", "-z")

    async def _names(self, *args: str) -> list[str]:
        said = await git(*args, cwd=self.scratch, env=self.env)
        return [os.fsdecode(name) for name in said.split(b"\0")[:-1]]


@asynccontextmanager
async def merged(
    env: Environment, patch: str, *, test_patch: str, gold: str, test_cmd: str, sandbox: Sandbox
) -> AsyncGenerator[Merged | None]:
    """Yield the base with the patch, without what the guard refuses, and with the test patch on top.

    None where the patch does not apply, or the test patch does not apply on top of it.

    Raises:
        Infra: the test patch does not apply to the base, or git or `patch` could not work.
    """
    with tempfile.TemporaryDirectory(prefix="patch-", dir=env.place) as name:
        scratch = Path(name)
        index = Index(env, scratch, "index")
        watch = await _guard(index, env, test_patch=test_patch, gold=gold, test_cmd=test_cmd)
        await index.reset()
        if not await _taken(index, env, patch, sandbox):
            yield None
            return
        refused = _refused(await index.changes(), watch)
        await index.restore(refused)
        if not await _given(index, test_patch):
            yield None
            return
        changes = await index.changes()
        yield Merged(
            env=index.env,
            base=env.base,
            changed=tuple(entry.path for entry in changes if not entry.deleted),
            removed=tuple(entry.path for entry in changes if entry.deleted),
            dropped=tuple(sorted(entry.path for entry in refused)),
            fixed=tuple(path for path in await index.files() if watch.is_fixed(path)),
        )


async def _taken(index: Index, env: Environment, patch: str, sandbox: Sandbox) -> bool:
    if len(patch) > PATCH_BYTES:
        return False
    return await _given(index, patch) or await _patched(index, env, patch, sandbox)


async def _given(index: Index, patch: str) -> bool:
    return not patch.strip() or await index.apply(patch)


def _refused(changes: Sequence[Entry], watch: Guard) -> list[Entry]:
    """Return what is put back: what the guard refuses, and what took the place of such a file or folder."""
    refused = {entry for entry in changes if watch.refuses(entry.path)}
    own = watch.tests | {entry.path for entry in refused if entry.mode != NOT_THERE}
    folders = {str(parent) for path in own for parent in PurePosixPath(path).parents}

    def in_the_way(path: str) -> bool:
        return path in folders or any(str(parent) in own for parent in PurePosixPath(path).parents)

    return [e for e in changes if e in refused or (not e.deleted and in_the_way(e.path))]


async def _guard(index: Index, env: Environment, *, test_patch: str, gold: str, test_cmd: str) -> Guard:
    await index.reset()
    if not await _given(index, test_patch):
        raise Infra("the test patch does not apply to the base commit: is it of another instance?")
    tests = [entry.path for entry in await index.changes()]
    await index.reset()
    await _given(index, gold)
    right = [entry.path for entry in await index.changes()]
    return guard(
        test_patch=tests,
        gold=right,
        base=await index.paths(),
        test_cmd=test_cmd,
        packages=env.site_packages,
    )


async def _patched(index: Index, env: Environment, patch: str, sandbox: Sandbox) -> bool:
    """Apply a patch with `patch` in a sandbox, on a checkout of its own, and take in what it did.

    Raises:
        Infra: there is no `patch`, or it was stopped at a limit.
    """
    tree = index.scratch / "fuzzy" / "tree"
    tree.mkdir(parents=True)
    own = {**index.env, "GIT_WORK_TREE": str(tree)}
    await git("checkout-index", "--all", "--force", cwd=tree, env=own)
    async with sandbox.open(tree) as box:
        ran = await box.run(Order(FALLBACK, stdin=patch_bytes(patch), seconds=120))
    if ran.ended != "exited":
        raise Infra(f"`patch` was stopped at the sandbox's limit of {ran.ended}")
    if ran.returncode in UNSTARTED:
        raise Infra("the program `patch` cannot be started: install it; it takes patches that git refuses")
    return ran.returncode == 0 and await _accepted("add", "--all", "--force", "--", ".", cwd=tree, env=own)


async def _accepted(*args: str, cwd: Path, env: Mapping[str, str]) -> bool:
    """Return whether git takes what it is given; False where it refuses.

    Raises:
        Infra: git was killed, or tells of trouble with the machine.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    done = await anyio.run_process(
        ["git", *SETTINGS, *args], cwd=cwd, env={**kept, **FIXED, **env}, check=False
    )
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode < 0 or (done.returncode and TROUBLE.search(said)):
        last = said.rpartition("\n")[2] or f"signal {-done.returncode}"
        raise Infra(f"git {args[0]} failed: {last[:300]}")
    return done.returncode == 0


def patch_bytes(patch: str) -> bytes:
    """Return the bytes of a patch; what stands for no byte becomes a replacement character."""
    return LONE.sub("\ufffd", patch).encode("utf-8", "surrogateescape")


def _entry(told: bytes, path: bytes) -> Entry:
    mode, _, blob, _, status = told.decode().removeprefix(":").split()
    return Entry(os.fsdecode(path), mode, blob, status == "D")


def _remove_files(tree: Path, paths: Sequence[str]) -> None:
    """Remove files whose folders are real ones, and the folders that are empty then."""
    for path in paths:
        pure = PurePosixPath(path)
        parents = [tree / parent for parent in pure.parents if str(parent) != "."]
        if any(parent.is_symlink() or not parent.is_dir() for parent in parents):
            continue
        target = tree / path
        if os.path.lexists(target) and (target.is_symlink() or not target.is_dir()):
            target.unlink()
        for parent in parents:
            if os.listdir(parent):
                break
            parent.rmdir()
