"""Finds out, once per process, what bubblewrap can do on this machine."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from functools import cache

from tts.errors import UsageError

BASE = (
    *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
    *("--uid", "1000", "--gid", "1000", "--hostname", "sandbox"),
    *("--die-with-parent", "--new-session", "--cap-drop", "ALL"),
)
PROBE = (
    *("--unshare-net", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin"),
    *("--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev"),
)
NO_MORE = "--disable-userns"
SIZED = ("--size", "65536", "--tmpfs", "/dev/shm")

INSTALL = "install it (Debian, Ubuntu: apt install bubblewrap; Fedora: dnf install bubblewrap)"
WITHOUT = "or use --sandbox none, which closes nothing off"


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """The program, the options that every box has here, and what they cannot close off.

    `sized`: whether the size of a file system in memory can be limited.
    """

    path: str
    flags: tuple[str, ...]
    sized: bool
    problems: tuple[str, ...] = ()


@cache
def bubblewrap() -> Bubblewrap:
    """Return what there is.

    Raises:
        UsageError: bubblewrap is missing, or may not make namespaces here.
    """
    path = shutil.which("bwrap")
    if path is None:
        raise UsageError(f"the sandbox bwrap needs bubblewrap, which is not on PATH: {INSTALL}, {WITHOUT}")
    if not _fails(path, *BASE, NO_MORE, *SIZED):
        return Bubblewrap(path, (*BASE, NO_MORE), sized=True)
    if said := _fails(path, *BASE):
        raise UsageError(
            f"bubblewrap cannot make namespaces here ({said}): allow user namespaces (in Docker: "
            f"--security-opt seccomp=unconfined --security-opt systempaths=unconfined), {WITHOUT}"
        )
    return _lesser(path)


def _lesser(path: str) -> Bubblewrap:
    """Return what an older bubblewrap, or one with fewer rights, can do."""
    closed, sized = not _fails(path, *BASE, NO_MORE), not _fails(path, *BASE, *SIZED)
    problems = (
        [] if closed else ["commands can make user namespaces of their own (bubblewrap 0.8 forbids it)"]
    )
    problems += [] if sized else ["/dev/shm has no size limit of its own (bubblewrap 0.7 sets one)"]
    return Bubblewrap(path, (*BASE, NO_MORE) if closed else BASE, sized, tuple(problems))


def _fails(path: str, *flags: str) -> str:
    """Return what bubblewrap says when it cannot start a command with these options, or nothing."""
    argv = [path, *PROBE, *flags, "--", "/bin/sh", "-c", ":"]
    try:
        done = subprocess.run(argv, capture_output=True, env={}, timeout=20, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as problem:
        return str(problem)
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return (said[-1][:200] if said else "no message") if done.returncode else ""
