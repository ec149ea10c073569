"""Start-up: `import tts` above bare Python, and `tts --help`, as whole processes.

    python -m benchmarks.startup [--quick] [--json]

The median over runs that take turns, so that a drift of the machine hits all alike.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from statistics import median

from benchmarks.goals import Figure, report, started

COMMANDS = {
    "bare": [sys.executable, "-c", "pass"],
    "import": [sys.executable, "-c", "import tts"],
    "help": [sys.executable, "-m", "tts", "--help"],
}


def milliseconds(command: Sequence[str]) -> float:
    """Return how long one process took."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return 1000 * (time.perf_counter() - started)


def main(flags: Sequence[str]) -> int:
    """Run, print and return the exit code."""
    n = 5 if "--quick" in flags else 20
    rounds = [{name: milliseconds(command) for name, command in COMMANDS.items()} for _ in range(n + 1)][1:]
    middle = {name: median(one[name] for one in rounds) for name in COMMANDS}
    figures = [
        Figure(
            "import tts, above bare Python", middle["import"] - middle["bare"], 80, kind="most", unit="ms"
        ),
        Figure("tts --help", middle["help"], 250, kind="most", unit="ms"),
    ]
    return report("startup", figures, as_json="--json" in flags)


if __name__ == "__main__":
    started(main, __doc__)
