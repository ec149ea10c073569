"""The package as it is installed: its public names, its metadata, and what an import costs."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points, metadata, version
from pathlib import Path

import pytest
import tts_strategies

import tts

PUBLIC = [
    "Budget",
    "Experiment",
    "Infra",
    "LimitReached",
    "Pipeline",
    "Pool",
    "Refused",
    "Result",
    "Rollout",
    "Step",
    "StrategyError",
    "Summary",
    "Task",
    "TtsError",
    "Usage",
    "UsageError",
    "Verdict",
    "agent",
    "chat",
    "model",
    "select",
    "solve",
    "solve_sync",
    "tester",
]
SLOW_LIBRARIES = {"anyio", "networkx", "numpy", "pydantic", "rich", "scipy", "typer"}
GROUPS = ("stages", "presets", "estimators", "agents", "judges", "summarizers")
HOMES = [Path(str(package.__file__)).parent for package in (tts, tts_strategies)]
CITATION = Path(__file__).parent.parent / "CITATION.cff"

LEFTOVERS = {
    "a note to oneself": r"#.*\b(?:TODO|FIXME|XXX|HACK)\b",
    "a breakpoint": r"^\s*(?:breakpoint\(|import pdb\b)",
    "a merge conflict": r"^(?:<{7}|>{7}) ",
    "a path of somebody's machine": r"/(?:home|Users)/\w+/|/root/",
    "a development import": r"^\s*(?:import|from) (?:pytest|hypothesis|benchmarks|tests)\b",
}


def sources() -> Iterator[Path]:
    """Yield our own Python files; the demo's small packages are data."""
    for home in HOMES:
        yield from (path for path in home.rglob("*.py") if "corpus" not in path.relative_to(home).parts)


def test_the_public_names_are_these() -> None:
    assert tts.__all__ == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_there(name: str) -> None:
    assert name in dir(tts)
    assert callable(getattr(tts, name))


def test_no_other_name_is_there() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        tts.nonsense  # noqa: B018


def test_the_versions_agree() -> None:
    assert tts.__version__ == version("tts-scaling")


@pytest.mark.skipif(not CITATION.is_file(), reason="not a checkout")
def test_the_citation_has_the_version() -> None:
    assert f"\nversion: {tts.__version__}\n" in CITATION.read_text(encoding="utf-8")


def test_the_licence_is_named() -> None:
    assert metadata("tts-scaling")["License-Expression"] == "Apache-2.0"


@pytest.mark.parametrize("module", ["tts", "tts.types", "tts_strategies"])
def test_an_import_brings_in_no_slow_library(module: str) -> None:
    code = f"import json, sys, {module}; print(json.dumps([name.partition('.')[0] for name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert SLOW_LIBRARIES.isdisjoint(json.loads(done.stdout))


@pytest.mark.parametrize("home", HOMES, ids=lambda home: home.name)
def test_a_package_says_that_it_is_typed(home: Path) -> None:
    assert (home / "py.typed").is_file()


@pytest.mark.parametrize("group", GROUPS)
def test_every_entry_point_of_ours_loads(group: str) -> None:
    for point in entry_points(group=f"tts.{group}"):
        if point.dist is not None and point.dist.name == "tts-scaling":
            assert callable(point.load()), point.name


def test_the_command_has_a_function() -> None:
    (point,) = entry_points(group="console_scripts", name="tts")
    assert callable(point.load())


@pytest.mark.parametrize("kind", LEFTOVERS)
def test_no_file_holds_a_leftover(kind: str) -> None:
    pattern = re.compile(LEFTOVERS[kind], re.MULTILINE)
    found = {str(path): m[0] for path in sources() if (m := pattern.search(path.read_text(encoding="utf-8")))}
    assert not found


EXTRAS = ("datasets", "litellm", "minisweagent", "pyarrow", "ray", "swebench")
"""Packages that an extra brings."""


def documented(name: str) -> bool:
    """Whether a module says what it is; one that needs an extra which is not installed is passed over."""
    try:
        return bool(importlib.import_module(name).__doc__)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in EXTRAS:
            raise
        return True


def test_every_module_imports_and_has_its_sentence() -> None:
    missing: list[str] = []
    for path in sources():
        home = next(home for home in HOMES if path.is_relative_to(home))
        parts = [part for part in path.relative_to(home.parent).with_suffix("").parts if part != "__init__"]
        if parts[-1] != "__main__" and not documented(".".join(parts)):
            missing.append(path.name)
    assert not missing
