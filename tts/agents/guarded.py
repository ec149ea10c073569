"""Which files decide how a test command runs: an attempt that is judged by it has no say in them."""

from __future__ import annotations

import re
import shlex
import sys
from fnmatch import fnmatch
from pathlib import PurePosixPath

from tts.judges.evidence import is_test_file

SETTINGS = {
    "any": "makefile gnumakefile *.mk justfile .justfile taskfile.y*ml cmakelists.txt *.cmake",
    "python": "pytest.* .pytest.* pyproject.toml tox.* setup.cfg setup.py noxfile.py conftest.py .coveragerc "
    "hatch.toml uv.toml uv.lock poetry.lock pixi.* pdm.* poe_tasks.* sitecustomize.py usercustomize.py *.pth "
    "dodo.py unittest.cfg",
    "javascript": "package.json package-lock.json yarn.lock pnpm-*.yaml .npmrc .yarnrc* bunfig.toml jest.* "
    "vitest.* vite.config.* babel.config.* .babelrc* .mocharc.* karma.* ava.config.* playwright.* cypress.* "
    "tsconfig*.json deno.json* webpack.config.* rollup.config.*",
    "rust": "cargo.toml cargo.lock build.rs rust-toolchain* nextest.toml .cargo/*",
    "go": "go.mod go.sum go.work* magefile.go",
    "jvm": "pom.xml build.gradle* settings.gradle* gradle.properties gradlew* gradle/* build.sbt "
    ".mvn/* mvnw* build.xml",
    "ruby": "rakefile gemfile* .rspec *.gemspec .minitest*",
    "php": "phpunit.xml* composer.json composer.lock pest.php",
    "other": "mix.exs package.swift build.zig* rebar.config dune-project *.cabal stack.yaml",
}
"""By kind of project, names of files (small letters, `*` for anything) that say how tests run, or whether."""

INSTALLED = ("node_modules", ".venv", "venv", "vendor", "site-packages", "target", ".tox", ".nox")
"""Folders of what is installed, which no attempt hands in."""

RUNNERS = "pytest _pytest pluggy iniconfig py coverage nose nose2 xdist pytest_cov tox nox"
"""Modules of Python that a test run imports by name, from the folder where it is started first."""


def decides(path: str, command: str, *, added: bool) -> bool:
    """Return whether a file is a test, says how the tests run, or would be run in a runner's place."""
    always = is_test_file(path) or _is_setting(path) or _is_named(path, command)
    return always or (added and _shadows(path))


def _is_setting(path: str) -> bool:
    parts = PurePosixPath(path.lower()).parts
    if any(part in INSTALLED for part in parts):
        return True
    ends = (parts[-1], "/".join(parts[-2:]), *(f"{part}/" for part in parts[:-1]))
    patterns = [pattern for kind in SETTINGS.values() for pattern in kind.split()]
    folders = [f"{pattern.removesuffix('/*')}/" for pattern in patterns if pattern.endswith("/*")]
    return any(fnmatch(end, pattern) for end in ends for pattern in (*patterns, *folders))


def _is_named(path: str, command: str) -> bool:
    return any(path == word or path.endswith(f"/{word}") for word in words(command))


def _shadows(path: str) -> bool:
    """Whether a new module of Python, wherever it is, takes the name of one that a test run imports."""
    parts = PurePosixPath(path).parts
    names = {part.removesuffix(".py") for part in (parts[0], parts[-1] if path.endswith(".py") else parts[0])}
    loaded = {*RUNNERS.split(), *sys.stdlib_module_names}
    return path.endswith((".py", ".so", ".pyc")) and bool(names & loaded)


def words(command: str) -> set[str]:
    """Return the words of a command line that can be files, those of a script in quotes as well."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        found = list(lexer)
    except ValueError:
        found = re.split(r"[\s;&|()'\"<>]+", command)
    quoted = (text for text in found if re.search(r"\w", text) and re.search(r"[\s;&|]", text))
    inner = {word for text in quoted if len(text) < len(command) for word in words(text)}
    plain = (re.sub(r"^\w+=", "", text) for text in found)
    named = {str(PurePosixPath(text)) for text in plain if text and not text.startswith(("-", "/"))}
    return {word for word in named if re.search(r"\w", word)} | inner
