"""Runs git by no settings but ours, and checks what it is told."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import anyio

from tts.errors import Infra, LimitReached, UsageError
from tts.types import Task
from tts.workspaces.limits import MAPPED, limited, passed

SERVE = f"env GIT_GRAFT_FILE={os.devnull} git -c safe.directory=* upload-pack"
"""How a source on this machine is read: it may belong to another user, and its grafts have no say."""

SETTINGS = ("-c", f"core.excludesFile={os.devnull}", "-c", f"core.attributesFile={os.devnull}")
"""Against the files that git reads below a user's home although it is told of no settings there."""

FIXED = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
    "GIT_ALLOW_PROTOCOL": "file:https:ssh",
    "LC_ALL": "C",
}


def check_place(task: Task) -> None:
    """Check that git can take the task's repository and commit for nothing else, such as options.

    Raises:
        UsageError: the commit is no full hash, or the repository's address begins with a dash.
    """
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", task.base_commit):
        raise UsageError(f"task {task.id}: base_commit is a full commit hash, not {task.base_commit[:80]!r}")
    if task.repo.startswith("-"):
        raise UsageError(f"task {task.id}: repo is a path or an address, not {task.repo[:80]!r}")


def is_here(repo: str) -> bool:
    """Return whether a repository lies on this machine."""
    return repo.startswith("file://") or os.path.exists(repo)


def serving(repo: str) -> tuple[str, ...]:
    """Return the option by which git reads a source; a host runs its own command only."""
    return (f"--upload-pack={SERVE}",) if is_here(repo) else ()


def not_fetched(task: Task, problem: Infra) -> UsageError | Infra:
    """Return what it means that a commit could not be fetched: of a host, that it may be had another time."""
    told = f"task {task.id}: cannot fetch commit {task.base_commit} of {task.repo}: {problem}"
    far = "://" in task.repo and not is_here(task.repo)
    return Infra(told) if far else UsageError(told)


async def git(
    *args: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    hostile: bool = False,
) -> bytes:
    """Return what git prints; the user's and the system's settings have no say in it.

    `hostile` is for what reads an attempt's files: git then runs under limits of memory and time.

    Raises:
        UsageError: git is not installed.
        LimitReached: what is hostile took it beyond a limit.
        Infra: git failed; the message is the last line that it said.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    command = [*limited(), "git", *MAPPED] if hostile else ["git"]
    try:
        done = await anyio.run_process(
            [*command, *SETTINGS, *args],
            cwd=cwd,
            env={**kept, **FIXED, **(env or {})},
            check=False,
            input=stdin,
        )
    except FileNotFoundError as problem:
        raise UsageError("git is not installed, or not on PATH; install git and try again") from problem
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        if hostile and (limit := passed(done.returncode, said[-1])):
            raise LimitReached(f"{limit} over the attempt's files")
        raise Infra(f"git {args[0]} failed: {said[-1]}")
    return done.stdout
