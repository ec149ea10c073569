"""How an instance is installed and tested without Docker."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tts.errors import UsageError

LINE_BYTES = 64 * 1024 * 1024
"""The longest line that is read of a JSON-lines file."""

EVAL_TYPES = ("pass_and_fail", "fail_only")


@dataclass(frozen=True, slots=True)
class Recipe:
    """The commands that prepare an environment, and the one that runs the tests.

    `python` is a version such as `3.11`. `install` are run in its fresh virtual environment, one after
    another, in the checkout. `test_cmd` is a bash command line. `log_parser` is the name of one of
    swebench's parsers, such as `parse_log_pytest`; "": the one that swebench has for the repository.
    `pip`: whether the environment has pip. `timeout`: seconds that the tests may take.
    """

    python: str
    test_cmd: str
    install: tuple[str, ...] = ()
    log_parser: str = ""
    eval_type: str = "pass_and_fail"
    pip: bool = True
    timeout: float = 1800.0


def read_recipe(value: Any, where: str) -> Recipe:
    """Return the recipe that a JSON object holds; fields that are not a recipe's are left out.

    Raises:
        UsageError: a field is missing or of the wrong type; the message begins with `where`.
    """
    if not isinstance(value, Mapping):
        raise UsageError(f"{where}: a recipe is an object with python, install and test_cmd")
    told = cast("Mapping[str, Any]", value)
    install = _commands(told.get("install", []), where)
    recipe = Recipe(
        python=_text(told, "python", where),
        test_cmd=_text(told, "test_cmd", where),
        install=install,
        log_parser=_text(told, "log_parser", where, ""),
        eval_type=_text(told, "eval_type", where, "pass_and_fail"),
        pip=told.get("pip", True) is not False,
        timeout=_seconds(told.get("timeout", 1800.0), where),
    )
    _check(recipe, where)
    return recipe


def recipes(path: Path) -> dict[str, Recipe]:
    """Return the recipes of a JSON-lines file by `instance_id`.

    A line holds the recipe itself, or has it under `local`.

    Raises:
        UsageError: the file cannot be read, or a line is no recipe; says the file and the line.
    """
    found: dict[str, Recipe] = {}
    for where, row in json_lines(path):
        name = row.get("instance_id")
        if not isinstance(name, str) or not name:
            raise UsageError(f"{where}: no instance_id")
        if name in found:
            raise UsageError(f"{where}: a second recipe for {name}; keep one")
        found[name] = read_recipe(row.get("local", row), where)
    return found


def json_lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each object of a JSON-lines file and where it stands, as `file:line`.

    Raises:
        UsageError: the file cannot be read, or a line is too long or no JSON object.
    """
    try:
        with path.open("rb") as file:
            for number in range(1, 1 + 10**9):
                line = file.readline(LINE_BYTES + 1)
                if not line:
                    return
                if len(line) > LINE_BYTES:
                    raise UsageError(f"{path}:{number}: a line of more than {LINE_BYTES} bytes")
                if line.strip():
                    yield f"{path}:{number}", _object(line, f"{path}:{number}")
    except OSError as problem:
        raise UsageError(f"{path}: cannot be read: {problem.strerror or problem}") from problem


def _object(line: bytes, where: str) -> Mapping[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as problem:
        raise UsageError(f"{where}: no JSON: {problem}") from problem
    if not isinstance(value, dict):
        raise UsageError(f"{where}: a line holds one JSON object, not {type(value).__name__}")
    return cast("dict[str, Any]", value)


def _text(told: Mapping[str, Any], name: str, where: str, default: str | None = None) -> str:
    value = told.get(name, default)
    if not isinstance(value, str) or (default is None and not value.strip()):
        raise UsageError(f"{where}: a recipe's {name} is a text, not {str(value)[:60]!r}")
    return value


def _commands(value: object, where: str) -> tuple[str, ...]:
    commands = cast("list[object]", value) if isinstance(value, list) else [None]
    texts = tuple(command for command in commands if isinstance(command, str))
    if len(texts) != len(commands):
        raise UsageError(f"{where}: a recipe's install is a list of commands")
    return texts


def _seconds(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise UsageError(f"{where}: a recipe's timeout is a number of seconds above 0, not {value!r}")
    return float(value)


def _check(recipe: Recipe, where: str) -> None:
    if not re.fullmatch(r"3\.\d{1,2}", recipe.python):
        raise UsageError(f"{where}: a recipe's python is a version such as 3.11, not {recipe.python[:40]!r}")
    if recipe.eval_type not in EVAL_TYPES:
        raise UsageError(
            f"{where}: a recipe's eval_type is {' or '.join(EVAL_TYPES)}, not {recipe.eval_type!r}"
        )
