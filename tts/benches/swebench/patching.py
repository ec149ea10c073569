"""Puts a model's patch and the test patch together, in git's index and not on disk."""

from __future__ import annotations

import os
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
from tts.workspaces.git import git

PATCH_BYTES = 64 * 1024 * 1024
"""The largest patch that is applied."""

FALLBACK = ("patch", "--batch", "--forward", "--fuzz=5", "-p1", "--no-backup-if-mismatch")
"""swebench's last way of applying a patch that git will not take."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that differs from the base; `mode` and `blob` are those there, zeros where it is new."""

    path: str
    mode: str
    blob: str
    deleted: bool


@dataclass(frozen=True, slots=True)
class Merged:
    """The files that a checkout is given and those it loses; `dropped` were not taken from the patch."""

    env: Mapping[str, str]
    base: Path
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    dropped: tuple[str, ...]

    async def place(self, tree: Path) -> None:
        """Bring a copy of the prepared checkout to this state; git follows no symlink on the way."""
        await to_thread.run_sync(_remove_files, tree, self.removed)
        names = b"".join(os.fsencode(path) + b"\0" for path in self.changed)
        await _fed(
            ("checkout-index", "--force", "-z", "--stdin"),
            names,
            cwd=tree,
            env={**self.env, "GIT_WORK_TREE": str(tree)},
        )


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
        """Apply a patch as swebench tries to, exactly and then with three ways; False where git refuses."""
        file = self.scratch / "patch.diff"
        await anyio.Path(file).write_bytes(patch.encode("utf-8", "surrogateescape"))
        before = await git("write-tree", cwd=self.scratch, env=self.env)
        for way in ((), ("--3way",)):
            try:
                await git(
                    "apply",
                    "--cached",
                    "--whitespace=nowarn",
                    *way,
                    str(file),
                    cwd=self.scratch,
                    env=self.env,
                )
            except Infra:
                await git("read-tree", before.decode().strip(), cwd=self.scratch, env=self.env)
            else:
                return True
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
        gone = [e for e in entries if e.mode == "000000"]
        lines = [b"0 " + b"0" * 40 + b"\t" + os.fsencode(e.path) for e in gone]
        lines += [f"{e.mode} {e.blob}\t".encode() + os.fsencode(e.path) for e in entries if e not in gone]
        text = b"".join(line + b"\0" for line in lines)
        await _fed(("update-index", "-z", "--index-info"), text, cwd=self.scratch, env=self.env)

    async def paths(self) -> list[str]:
        """Return every file of the base."""
        said = await git("ls-tree", "-r", "-z", "--name-only", "HEAD", cwd=self.scratch, env=self.env)
        return [os.fsdecode(name) for name in said.split(b"\0")[:-1]]


@asynccontextmanager
async def merged(
    env: Environment, patch: str, *, test_patch: str, gold: str, test_cmd: str, sandbox: Sandbox
) -> AsyncGenerator[Merged | None]:
    """Yield the base with the patch, without what the guard refuses, and with the test patch on top.

    None where the patch does not apply.

    Raises:
        Infra: the test patch does not apply to the base.
    """
    with tempfile.TemporaryDirectory(prefix="patch-", dir=env.place) as name:
        scratch = Path(name)
        index = Index(env, scratch, "index")
        watch = await _guard(index, env, test_patch=test_patch, gold=gold, test_cmd=test_cmd)
        await index.reset()
        if len(patch) > PATCH_BYTES or not (
            await index.apply(patch) or await _patched(index, env, patch, sandbox)
        ):
            yield None
            return
        refused = [entry for entry in await index.changes() if watch.refuses(entry.path)]
        await index.restore(refused)
        await _apply_tests(index, test_patch)
        changes = await index.changes()
        yield Merged(
            env=index.env,
            base=env.base,
            changed=tuple(entry.path for entry in changes if not entry.deleted),
            removed=tuple(entry.path for entry in changes if entry.deleted),
            dropped=tuple(sorted(entry.path for entry in refused)),
        )


async def _apply_tests(index: Index, test_patch: str) -> None:
    if test_patch.strip() and not await index.apply(test_patch):
        raise Infra("the test patch does not apply to the base commit: is it of another instance?")


async def _guard(index: Index, env: Environment, *, test_patch: str, gold: str, test_cmd: str) -> Guard:
    await index.reset()
    await _apply_tests(index, test_patch)
    tests = [entry.path for entry in await index.changes()]
    await index.reset()
    if gold.strip():
        await index.apply(gold)
    right = [entry.path for entry in await index.changes()]
    return guard(
        test_patch=tests,
        gold=right,
        base=await index.paths(),
        test_cmd=test_cmd,
        packages=env.site_packages,
    )


async def _patched(index: Index, env: Environment, patch: str, sandbox: Sandbox) -> bool:
    """Apply a patch with `patch` in a sandbox, on a checkout of its own, and take in what it did."""
    tree = index.scratch / "fuzzy" / "tree"
    tree.mkdir(parents=True)
    own = {**index.env, "GIT_WORK_TREE": str(tree)}
    await git("checkout-index", "--all", "--force", cwd=tree, env=own)
    async with sandbox.open(tree) as box:
        ran = await box.run(Order(FALLBACK, stdin=patch.encode("utf-8", "surrogateescape"), seconds=120))
    if ran.returncode or ran.ended != "exited":
        return False
    await git("add", "--all", "--force", "--", ".", cwd=tree, env=own)
    return True


def _entry(told: bytes, path: bytes) -> Entry:
    mode, _, blob, _, status = told.decode().removeprefix(":").split()
    return Entry(os.fsdecode(path), mode, blob, status == "D")


async def _fed(args: Sequence[str], text: bytes, *, cwd: Path, env: Mapping[str, str]) -> None:
    """Run git with something on its standard input.

    Raises:
        Infra: git failed.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    fixed = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "LC_ALL": "C",
    }
    done = await anyio.run_process(
        ["git", *args], input=text, cwd=cwd, env={**kept, **fixed, **env}, check=False
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise Infra(f"git {args[0]} failed: {said[-1][:300]}")


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
