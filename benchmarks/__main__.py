"""All benchmarks in a row, and what they printed kept beside versions, machine size and date."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results"
LIBRARIES = ("tts-scaling", "anyio", "networkx", "numpy", "pydantic", "scipy")
MEANING = {0: "met", 1: "MISSED", 2: "not measured"}


def names() -> list[str]:
    """Return the names of the benchmarks: the modules and packages here that can be run."""
    modules = (path for path in HERE.glob("[a-z]*.py") if "__main__" in path.read_text(encoding="utf-8"))
    packages = (path.parent for path in HERE.glob("[a-z]*/__main__.py"))
    return sorted(path.stem for path in (*modules, *packages))


def circumstances() -> str:
    """Return what a figure depends on, one `name: value` a line."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    lines = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {memory_gib:.1f} GiB, {platform.machine()}, {platform.system()}",
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
    }
    return "".join(f"{name}: {value}\n" for name, value in lines.items())


def measure(name: str, flags: Sequence[str]) -> int:
    """Run one benchmark, printing and keeping what it prints; return its exit code."""
    print(f"== {name}", flush=True)
    command = [sys.executable, "-m", f"benchmarks.{name}", *flags]
    kept = [circumstances(), f"command: python {' '.join(command[1:])}\n\n"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE.parent) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            kept.append(line)
    (RESULTS / f"{name}.txt").write_text("".join(kept), encoding="utf-8")
    return process.returncode


def main(flags: Sequence[str]) -> int:
    """Run all benchmarks with `flags`; return 1 unless all of them met their goals."""
    RESULTS.mkdir(exist_ok=True)
    ended = {name: measure(name, flags) for name in names()}
    print("== goals")
    for name, code in ended.items():
        print(f"{name}: {MEANING.get(code, f'failed with exit code {code}')}")
    return int(any(ended.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
