"""Trajectories such as coding agents leave: looks at real source files, searches, edits and failing tests.

The text is that of Python's standard library, which every machine has.  Attempts at one task look at the same
few files, each at places and in an order of its own.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from random import Random

from tts.types import Step

FILES_PER_TASK = 6
LINES_PER_LOOK = 60
SMALLEST_LINES = 200


@cache
def sources() -> Sequence[tuple[str, list[str]]]:
    """Return the files of the standard library, as lines; the longer ones."""
    root = Path(sysconfig.get_path("stdlib"))
    read = ((path, path.read_text(encoding="utf-8", errors="replace")) for path in sorted(root.glob("*.py")))
    files = [(path.name, text.splitlines()) for path, text in read]
    return [(name, lines) for name, lines in files if len(lines) >= SMALLEST_LINES]


def trajectory(task: str, seed: int, n_bytes: int) -> Iterator[Step]:
    """Yield the steps of an attempt until their texts have so many bytes."""
    files = Random(task).sample(sources(), FILES_PER_TASK)
    random, left = Random(f"{task} {seed}"), n_bytes
    while left > 0:
        name, lines = random.choice(files)
        step = random.choice((look, look, look, search, edit, run_tests))(name, lines, random)
        left -= step.n_bytes
        yield step


def look(name: str, lines: Sequence[str], random: Random) -> Step:
    """Print a part of a file with the numbers of its lines."""
    start = random.randrange(len(lines) - LINES_PER_LOOK)
    shown = enumerate(lines[start : start + LINES_PER_LOOK], start + 1)
    text = "\n".join(f"{number:6}\t{line}" for number, line in shown)
    thought = f"Let me look at what {name} does from line {start + 1} on."
    return Step(thought, f"nl -ba lib/{name} | sed -n '{start + 1},{start + LINES_PER_LOOK}p'", text)


def search(name: str, lines: Sequence[str], random: Random) -> Step:
    """Search a file for a word that is in it."""
    words = [word for line in random.sample(lines, 20) for word in line.split() if word.isidentifier()]
    word = random.choice(words or ["def"])
    found = [f"lib/{name}:{i}:{line}" for i, line in enumerate(lines, 1) if word in line][:40]
    return Step(f"Where is {word} used?", f"grep -n {word} lib/{name}", "\n".join(found))


def edit(name: str, lines: Sequence[str], random: Random) -> Step:
    """Replace a line, and show the difference."""
    at = random.randrange(3, len(lines) - 3)
    around = "\n".join(f" {line}" for line in lines[at + 1 : at + 4])
    before = "\n".join(f" {line}" for line in lines[at - 3 : at])
    change = (
        f"@@ -{at - 2},7 +{at - 2},7 @@\n{before}\n-{lines[at]}\n+{lines[at]}  # {random.random()}\n{around}"
    )
    return Step(f"Line {at + 1} looks wrong.", f"python edit.py lib/{name} {at + 1}", change, returncode=0)


def run_tests(name: str, lines: Sequence[str], random: Random) -> Step:
    """Run tests of which one fails, with a traceback through the file."""
    at = random.randrange(len(lines) - 1)
    n = random.randrange(5, 200)
    frames = "\n".join(f'  File "lib/{name}", line {at + i}, in call\n    {lines[at]}' for i in (1, 2))
    text = f"{'.' * n}F\n=== FAILURES ===\nTraceback (most recent call last):\n{frames}\nAssertionError\n"
    return Step(
        "Run the tests.", "python -m pytest -q", f"{text}1 failed, {n} passed in 0.{n}s", returncode=1
    )
