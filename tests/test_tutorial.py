"""The plug-in tutorial shows a real package, and that package works."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
PLUGIN = TUTORIALS / "plugin"
TITLED = re.compile(r'^```\w+ title="(?P<name>[^"]+)"\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.skipif(not PLUGIN.is_dir(), reason="the docs are not here")


def shown():
    """Return what the tutorial shows, by file name."""
    text = (TUTORIALS / "write-a-strategy.md").read_text(encoding="utf-8")
    return {match["name"]: match["text"] for match in TITLED.finditer(text)}


def written():
    """Return the files of the package."""
    files = (path for pattern in ("*.py", "*.toml") for path in PLUGIN.rglob(pattern))
    return {path.relative_to(PLUGIN).as_posix(): path.read_text(encoding="utf-8") for path in files}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return the environment of an interpreter that takes the package for installed."""
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    site = tmp_path_factory.mktemp("site")
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))
    path = os.pathsep.join([str(site), str(PLUGIN), *(p for p in sys.path if p)])
    return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def python(arguments, environment, folder):
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=folder, capture_output=True, text=True, timeout=60
    )


def test_the_tutorial_shows_exactly_the_files_of_the_package():
    assert shown() == written()


def test_a_strategy_is_one_short_file_and_one_line():
    module = (PLUGIN / "tts_consensus.py").read_text(encoding="utf-8")
    code = [line for line in module.splitlines() if line.strip()]
    assert len(code) <= 32
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"] == {"tts.stages": {"consensus": "tts_consensus:Consensus"}}


def test_its_own_tests_pass(installed, tmp_path):
    options = [
        "-q",
        "--import-mode=importlib",
        "-p",
        "no:cacheprovider",
        "-c",
        "pyproject.toml",
        "--rootdir=.",
    ]
    done = python(["-m", "pytest", *options], installed, PLUGIN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d\d passed", done.stdout, re.MULTILINE)


def test_a_text_with_the_new_stage_runs_and_is_listed(installed, tmp_path):
    code = """
import tts
from tts.registry import resolve

def answer(task, attempt):
    return ["a", "b", "b", "c", "c", "d"][attempt.index]

text = "sample(6) | consensus(share=0.6, votes=4)"
print(resolve(text).text)
result = tts.solve_sync("Which?", agent=answer, strategy=text)
print(result.winner.answer in "bc", [len(stage.matches) > 0 for stage in result.choice.stages])
"""
    (tmp_path / "script.py").write_text(code)
    done = python(["script.py"], installed, tmp_path)
    assert done.stdout.splitlines() == ["sample(6) | consensus(share=0.6, votes=4)", "True [False, True]"], (
        done.stderr
    )


def test_a_wrong_parameter_of_the_new_stage_is_pointed_at(installed, tmp_path):
    code = "from tts.registry import resolve; resolve('sample(6) | consensus(shar=0.6)')"
    done = python(["-c", code], installed, tmp_path)
    assert "StrategyError" in done.stderr
    assert "column 13" in done.stderr
    assert "share, same, votes" in done.stderr
