"""What a model's patch may not change before it is graded: tests, and whatever decides how tests run."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

SETTINGS = frozenset(
    {
        *("conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "tox.ini", "setup.cfg"),
        *("pyproject.toml", ".coveragerc", "sitecustomize.py", "usercustomize.py", ".env", ".flaskenv"),
        *(".gitattributes", "__pycache__"),
    }
)
"""Names, of files and folders, that configure the run of tests or are run at its start.

Settings files are dropped whole: the package is installed already, so of these files only what they say
of tests still counts.
"""

ENDINGS = (".pth", ".egg-link", ".egg-info", ".dist-info", ".pyc", ".pyo")
"""Endings of names by which Python takes up paths, plug-ins or compiled code."""

TESTING = re.compile(
    r"t|e2e|testing|tests?|unittests?|testsuite|__tests__|tests?[-_.].+|.+[-_.]tests?", re.IGNORECASE
)
"""Names of folders that hold tests and their helpers."""

SOURCES = ("", "src", "lib")
"""Folders that stand on Python's search path, where a module can hide another one."""


RUNNERS = frozenset({"pytest", "_pytest", "pluggy", "iniconfig", "py", "_tts_witness"})
"""Modules that no new module may hide, wherever they are installed."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Decides which changed files of a patch are put back to the base.

    `tests` are the files of the test patch, `folders` those whose content is left alone as a whole, from
    the topmost one around a test that is named for tests; one that holds files of the gold patch is code.
    `gold` are the files of the gold patch: what it changes is code, whatever its name. `modules` are the
    names that a new module must not take, `programs` the files that the test command runs.
    """

    tests: frozenset[str]
    folders: frozenset[str]
    gold: frozenset[str]
    modules: frozenset[str]
    base: frozenset[str]
    programs: frozenset[str] = frozenset()

    def refuses(self, path: str) -> bool:
        """Whether a change of this file is dropped."""
        names = [name.lower() for name in PurePosixPath(path).parts]
        if path in self.tests:
            return True
        if path in self.gold:
            return False
        if any(name in SETTINGS or name.endswith(ENDINGS) for name in names):
            return True
        return self._hides(path) or self._in_folder(path) or _is_test(names)

    def is_fixed(self, path: str) -> bool:
        """Whether tests must leave this file as it was placed: their code and their settings, no data."""
        name = PurePosixPath(path).name.lower()
        return self.refuses(path) and (name.endswith(".py") or name in SETTINGS or path in self.programs)

    def _in_folder(self, path: str) -> bool:
        return any(str(parent) in self.folders for parent in PurePosixPath(path).parents)

    def _hides(self, path: str) -> bool:
        """Whether a new file makes a module that hides one of Python's or of an installed package."""
        pure = PurePosixPath(path)
        for source in SOURCES:
            if source and pure.parts[0] != source:
                continue
            inner = pure.parts[1:] if source else pure.parts
            top = inner[0].split(".")[0] if inner else ""
            if top in self.modules and not self._known("/".join(filter(None, [source, top]))):
                return True
        return False

    def _known(self, name: str) -> bool:
        return any(path == f"{name}.py" or path.startswith(f"{name}/") for path in self.base)


def guard(
    *, test_patch: Iterable[str], gold: Iterable[str], base: Iterable[str], test_cmd: str, packages: Path
) -> Guard:
    """Return the guard of an instance, from the files that its patches change and those at the base.

    `packages` is the folder of the environment's packages.
    """
    tests, right, there = frozenset(test_patch), frozenset(gold), frozenset(base)
    programs = runners(test_cmd, there)
    code = {str(parent) for path in right for parent in PurePosixPath(path).parents}
    folders = {folder for path in tests for folder in _folders(path) if folder not in code}
    folders |= {str(PurePosixPath(runner).parent) for runner in programs}
    return Guard(
        tests=tests | (programs - right),
        folders=frozenset(folders - code - {"."}),
        gold=right,
        modules=frozenset(sys.stdlib_module_names) | RUNNERS | _installed(packages),
        base=there,
        programs=programs,
    )


def runners(test_cmd: str, base: frozenset[str]) -> frozenset[str]:
    """Return the files of the repository that a test command names as programs, such as `bin/test`."""
    try:
        words = shlex.split(test_cmd, comments=False)
    except ValueError:
        words = test_cmd.split()
    return frozenset(path for word in words if (path := os.path.normpath(word)) in base)


def dropped_text(paths: Sequence[str]) -> str:
    """Return a line on what was dropped, "" for nothing."""
    if not paths:
        return ""
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    return f"not applied: {', '.join(paths[:5])}{more} (tests and their settings are the benchmark's own)"


def _folders(path: str) -> list[str]:
    """Return the folders around a test, from the topmost one that is named for tests down to its own."""
    around = list(PurePosixPath(path).parents)[-2::-1]
    first = next((n for n, folder in enumerate(around) if TESTING.fullmatch(folder.name)), len(around))
    own = around[-1:] if "test" in str(PurePosixPath(path).parent).lower() else []
    return [str(folder) for folder in around[first:] or own]


def _is_test(names: Sequence[str]) -> bool:
    name = names[-1]
    return "tests" in names or (
        name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py"))
    )


def _installed(packages: Path) -> frozenset[str]:
    """Return the names of the modules that are installed."""
    try:
        names = [name for name in os.listdir(packages) if not name.endswith(ENDINGS)]
    except OSError:
        return frozenset()
    return frozenset(name.split(".")[0] for name in names) - {"__pycache__"}
