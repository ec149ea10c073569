"""What a command finds when it starts: its variables and its resource limits."""

from __future__ import annotations

import os
import sys
from collections.abc import Container, Sequence
from pathlib import Path

from tts.sandboxes.box import Caps

SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

LIMITED = 'cd -- "$1" || exit 126; unset OLDPWD; ulimit -c 0; ulimit -f "$2"; {more}shift 4; exec "$@"'
MEMORY = 'ulimit -d "$3"; '
PROCESSES = 'ulimit -u "$4" 2>/dev/null || ulimit -p "$4" 2>/dev/null; '


def search_path() -> str:
    """Return the PATH inside: this Python's own programs before the system's."""
    return os.pathsep.join(dict.fromkeys((f"{sys.prefix}/bin", f"{sys.base_prefix}/bin", *SYSTEM_PATH)))


def variables(names: Sequence[str], *, home: str) -> dict[str, str]:
    """Return the environment that every command starts from, and the host's variables of these names."""
    fixed = {"PATH": search_path(), "HOME": home, "LANG": "C.UTF-8", "TERM": "dumb"}
    return fixed | {name: os.environ[name] for name in names if name in os.environ}


def pythons() -> list[Path]:
    """Return the folders of the Python that runs this, and of the one that its environment was made from."""
    return [Path(place) for place in dict.fromkeys((sys.base_prefix, sys.prefix))]


def limited(argv: Sequence[str], cwd: str, caps: Caps, *, more: Container[str]) -> list[str]:
    """Return a command that enters a folder, sets its own resource limits and then becomes `argv`.

    The limits are of one process each: the largest file, no core files and, where `more` holds "memory" and
    "processes", its private memory and the number of processes of its user. That number is twice the box's
    limit, which the watch keeps: it is to stop what multiplies faster than the watch looks.
    """
    script = LIMITED.format(more=MEMORY * ("memory" in more) + PROCESSES * ("processes" in more))
    numbers = (caps.file_bytes // 512, caps.memory_bytes // 1024, 2 * caps.processes)
    return ["/bin/sh", "-c", script, "sh", cwd, *map(str, numbers), *argv]
