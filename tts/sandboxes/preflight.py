"""Finds out, once per process, what bubblewrap can do on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache

from tts.errors import UsageError
from tts.sandboxes.processes import filled
from tts.sandboxes.syscalls import refusing

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

    `sized`: whether the size of a file system in memory can be limited. `filter`: what keeps system calls
    off, empty where there is nothing.
    """

    path: str
    flags: tuple[str, ...]
    sized: bool
    filter: bytes
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
    if (rules := refusing()) and not _fails(path, *BASE, NO_MORE, *SIZED, rules=rules):
        return Bubblewrap(path, (*BASE, NO_MORE), sized=True, filter=rules)
    if said := _fails(path, *BASE):
        raise UsageError(
            f"bubblewrap cannot make namespaces here ({said}): allow user namespaces (in Docker: "
            f"--security-opt seccomp=unconfined --security-opt systempaths=unconfined), {WITHOUT}"
        )
    return _lesser(path)


def _lesser(path: str) -> Bubblewrap:
    """Return what an older bubblewrap, one with fewer rights, or one on another kind of machine can do."""
    closed, sized = not _fails(path, *BASE, NO_MORE), not _fails(path, *BASE, *SIZED)
    rules = b"" if _fails(path, *BASE, rules=refusing()) else refusing()
    told = {
        "commands can make user namespaces of their own (bubblewrap 0.8 forbids it)": closed,
        "/dev/shm has no size limit of its own (bubblewrap 0.7 sets one)": sized,
        "no system call is refused here: commands share the key rings of your session": bool(rules),
    }
    flags = (*BASE, NO_MORE) if closed else BASE
    return Bubblewrap(path, flags, sized, rules, tuple(text for text, fine in told.items() if not fine))


def _fails(path: str, *flags: str, rules: bytes = b"") -> str:
    """Return what bubblewrap says when it cannot start a command with these options, or nothing."""
    fds = [filled(rules)] if rules else []
    seccomp = [word for fd in fds for word in ("--seccomp", str(fd))]
    argv = [path, *PROBE, *flags, *seccomp, "--", "/bin/sh", "-c", ":"]
    try:
        done = subprocess.run(
            argv, capture_output=True, env={}, timeout=20, stdin=subprocess.DEVNULL, pass_fds=fds
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        return str(problem)
    finally:
        for fd in fds:
            os.close(fd)
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return (said[-1][:200] if said else "no message") if done.returncode else ""
