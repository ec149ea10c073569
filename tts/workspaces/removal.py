"""Removes folders that nobody vouches for."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from tts.errors import Infra


def remove(path: Path) -> None:
    """Remove a folder, however deep it is and whatever rights were taken from it; no link is followed.

    Raises:
        Infra: something of it is left.
    """
    said = _quietly("rm", "-rf", "--", str(path))
    if os.path.lexists(path):
        open_up(path)
        said = _quietly("rm", "-rf", "--", str(path))
    if os.path.lexists(path):
        with suppress(RecursionError):
            shutil.rmtree(path, ignore_errors=True)  # where there is no rm
    if os.path.lexists(path):
        raise Infra(f"cannot remove {path}: {said}")


def open_up(path: Path) -> None:
    """Give the owner back the rights to every folder below, on the way down, however deep."""
    closed = ("-type", "d", "!", "-perm", "-700")
    _quietly("find", str(path), *closed, "-execdir", "chmod", "u+rwx", "{}", ";")


def _quietly(*argv: str) -> str:
    whole = [place for place in os.get_exec_path() if os.path.isabs(place)]  # `find` runs nothing from others
    env = {"PATH": os.pathsep.join(whole), "LC_ALL": "C"}
    try:
        done = subprocess.run(argv, env=env, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    except FileNotFoundError as problem:
        return str(problem)
    return done.stderr.decode(errors="replace").strip()[-200:]
