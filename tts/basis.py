"""What a stored choice rests on besides its task, seed and performers: the code that chose, and the limits.

A choice is a function of what is stored.  Where nothing that it rests on has changed, it stands, and a run
that is resumed need not walk through thousands of stored effects to come to it again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from functools import cache

from tts.pipeline import Pipeline, flat
from tts.run import Choice
from tts.types import Budget, digest


def basis(strategy: Pipeline, limits: Sequence[Budget]) -> str:
    """Return a hash of the limits and of the packages that the stages are written in, tts itself included.

    `limits` are those of the strategy and of each performer. Of each source file go in its name, its size and
    when it was written; "" where a stage is in no file.
    """
    packages = {"tts", *(type(stage).__module__.partition(".")[0] for stage in flat(strategy))}
    files = sorted(entry for name in packages for entry in (_ours() if name == "tts" else _files(name)))
    known = packages <= {name for name, *_ in files}
    return digest([[astuple(limit) for limit in limits], files]) if known else ""


def stands(choice: Choice, text: str, setting: str, basis: str) -> bool:
    """Whether a stored choice is what choosing again would come to."""
    if not basis or choice.incomplete or choice.error:
        return False
    return (choice.text, choice.setting, choice.basis) == (text, setting, basis)


@cache
def _ours() -> Sequence[tuple[str, str, int, int]]:
    """Return the source files of tts, looked at once: nobody loads it anew within a process."""
    return list(_files("tts"))


def _files(package: str) -> Iterator[tuple[str, str, int, int]]:
    """Yield the source files of a loaded package or module."""
    module = sys.modules[package]
    for place in getattr(module, "__path__", None) or [getattr(module, "__file__", None)]:
        if place is not None and package != "__main__":
            for path in [place] if os.path.isfile(place) else _sources(place):
                told = os.stat(path)
                yield package, path, told.st_size, told.st_mtime_ns


def _sources(folder: str) -> Iterator[str]:
    """Yield the Python files in a folder, in no order; none where it is no folder, as in a zip file."""
    if not os.path.isdir(folder):
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _sources(entry.path)
            elif entry.name.endswith(".py"):
                yield entry.path
