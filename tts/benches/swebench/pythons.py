"""Finds the Python of a version, and makes a virtual environment with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import anyio

from tts.errors import Infra, UsageError

ASK = "import json, sys; print(json.dumps([list(sys.version_info[:2]), sys.base_prefix]))"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python of this machine: its program, and the folder of its library."""

    program: Path
    prefix: Path


def find_python(version: str) -> Interpreter:
    """Return the Python of a version such as `3.11`: this one's own, or `python3.11` on PATH.

    Raises:
        UsageError: there is none.
    """
    own = Path(sys.base_prefix, "bin", f"python{version}")
    if version == f"{sys.version_info.major}.{sys.version_info.minor}" and own.exists():
        return Interpreter(own, Path(sys.base_prefix))
    for folder in os.get_exec_path():
        program = shutil.which(f"python{version}", path=folder)
        found = _asked(program, version) if program else None
        if found is not None:
            return found
    raise UsageError(
        f"there is no Python {version} here: put a python{version} on PATH, with its venv module"
    )


def _asked(program: str, version: str) -> Interpreter | None:
    try:
        done = subprocess.run([program, "-I", "-c", ASK], capture_output=True, timeout=20, check=True)
        numbers, prefix = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None  # such as a shim of a version that is not installed
    same = f"{numbers[0]}.{numbers[1]}" == version
    own = Path(prefix, "bin", f"python{version}")
    return Interpreter(own if own.exists() else Path(program), Path(prefix)) if same else None


async def make_venv(python: Interpreter, place: Path, *, pip: bool) -> None:
    """Make a virtual environment at a place.

    Raises:
        Infra: the interpreter could not.
    """
    flags = [] if pip else ["--without-pip"]
    done = await anyio.run_process(
        [str(python.program), "-I", "-m", "venv", *flags, str(place)],
        check=False,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        said = done.stdout.decode(errors="replace").strip().splitlines() or ["no message"]
        raise Infra(f"{python.program} could not make an environment: {said[-1][:300]}")
