"""What the documentation shows is true: its Python runs, its commands exist, its doctests pass.

A block of `python` is run; a block with a title is a file of that name, which later blocks can use; a block
tagged `no-run` is only read. All blocks of a page share one namespace and an empty folder.
"""

import doctest
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest
import tts_strategies

import tts
from tts.testing.provider import ModelServer

ROOT = Path(__file__).parents[1]
SITE = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [page for page in [ROOT / "README.md", *SITE] if page.is_file()]
FENCE = re.compile(
    r"^(?P<indent>[ \t]*)(?P<fence>`{3,})(?P<info>[^`\n]*)\n(?P<text>.*?)^(?P=indent)(?P=fence)[ \t]*$",
    re.M | re.S,
)
INFO = re.compile(r'[\w+.#-]*(?:[ ]*\{[^}\n]*\}|(?:[ ]+[a-z_]+="[^"\n]*")+)?')
"""What the site's generator takes for the start of a code block; `python no-run` would be shown as text."""


@dataclass(frozen=True)
class Block:
    language: str
    info: str
    text: str
    line: int

    @property
    def title(self):
        found = re.search(r'title="([^"]+)"', self.info)
        return found and found[1]

    @property
    def runs(self):
        return self.language == "python" and not self.title and "no-run" not in self.info


def blocks(text):
    """Return the fenced blocks of a page; `line` is where the first line of the text stands."""
    found = []
    for match in FENCE.finditer(text):
        body = re.sub(f"^{match['indent']}", "", match["text"], flags=re.M)
        info = match["info"].strip()
        line = text[: match.start("text")].count("\n") + 1
        found.append(Block(re.split(r"[ {]", info)[0], info, body, line))
    return found


def script(page_blocks):
    """Return the Python that runs, each line where it stands on the page."""
    lines = []
    for block in page_blocks:
        if block.runs:
            lines += [""] * (block.line - 1 - len(lines)) + block.text.splitlines()
    return "\n".join(lines) + "\n"


def named(path):
    return path.relative_to(ROOT).as_posix()


def of(language, wanted=lambda block: True):
    pages = {page: blocks(page.read_text(encoding="utf-8")) for page in PAGES}
    return [page for page, found in pages.items() if any(b.language == language and wanted(b) for b in found)]


def test_blocks_are_found_where_they_stand():
    text = "a\n\n```python\nx = 1\n```\n\n1. b\n\n    ```python {.no-run}\n    y = 2\n    ```\n"
    text += '```py title="a/b.py"\n```\n'
    first, second, third = blocks(text)
    assert (first.text, first.line, first.runs) == ("x = 1\n", 4, True)
    assert (second.text, second.line, second.runs) == ("y = 2\n", 10, False)
    assert (third.title, third.runs) == ("a/b.py", False)
    assert script([first, second]) == "\n\n\nx = 1\n"


@pytest.mark.parametrize("page", SITE, ids=named)
def test_the_site_takes_every_fence_for_a_code_block(page):
    wrong = [b.info for b in blocks(page.read_text(encoding="utf-8")) if not INFO.fullmatch(b.info)]
    assert wrong == [], 'write ```python {.no-run} or ```python title="name.py"'


@pytest.fixture(scope="module")
def provider():
    """Stands in for OpenAI and Anthropic; pages use their own models' names."""
    with ModelServer() as server:
        yield server.environment


@pytest.mark.parametrize("page", of("python", lambda block: block.runs), ids=named)
def test_the_python_of_a_page_runs(page, tmp_path, provider):
    found = blocks(page.read_text(encoding="utf-8"))
    for block in found:
        if block.title:
            place = tmp_path / block.title
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(block.text, encoding="utf-8")
    (tmp_path / "page.py").write_text(script(found), encoding="utf-8")
    environment = {**os.environ, **provider, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "page.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{named(page)} (lines as on the page):\n{done.stderr}"


def modules():
    packages = (tts, tts_strategies)
    names = (m.name for p in packages for m in pkgutil.walk_packages(p.__path__, f"{p.__name__}."))
    return [*(p.__name__ for p in packages), *(name for name in names if not name.endswith("__main__"))]


@pytest.mark.parametrize("name", modules())
def test_doctests(name):
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("tts", "tts_strategies"):
            raise
        pytest.skip(f"{error.name} is an extra that is not installed")
    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert failed == 0


# The command line

COMMANDS = find_spec("tts.cli") is not None


@cache
def help_of(command):
    """Return the help of a command, which is a tuple of words after `tts`; None where there is none."""
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    code = "from tts.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *command, "--help"], env=environment, capture_output=True, text=True
    )
    return done.stdout if done.returncode == 0 else None


def commands(page_blocks):
    """Return the words of each `tts` command line of the console blocks, without `tts`."""
    found = []
    for block in page_blocks:
        if block.language == "console":
            text = block.text.replace("\\\n", " ")
            lines = (line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ "))
            for line in lines:
                words = list(shlex.shlex(line, posix=True, punctuation_chars=True))
                found += tts_words(words)
    return found


def tts_words(words):
    """Return the arguments of each `tts` in a line, up to where the shell ends the command."""
    found, current = [], None
    for word in words:
        if current is None:
            current = [] if word == "tts" else None
        elif set(word) <= set("|&;<>()"):
            found.append(current)
            current = None
        else:
            current.append(word)
    return found if current is None else [*found, current]


def problems(words):
    """Return what is wrong with a command line: unknown commands and flags."""
    command = ()
    for word in words:
        if word.startswith("-") or not re.search(rf"^  {re.escape(word)}\b", help_of(command) or "", re.M):
            break
        command = (*command, word)
    text = help_of(command)
    if text is None:
        return [f"tts {' '.join(command)} has no help"]
    flags = [word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)]
    missing = [flag for flag in flags if not re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", text)]
    unknown = words[:1] if words and not command and not words[0].startswith("-") else []
    return [f"tts {' '.join(command)} knows no {word}" for word in (*unknown, *missing)]


def test_command_lines_are_cut_out_of_a_shell_line():
    text = "```console\n$ make demo && tts run -o a --json > b\nout: tts nothing\n"
    text += '$ tts demo \\\n  --n 3 -s "a | b"\n```\n'
    assert commands(blocks(text)) == [["run", "-o", "a", "--json"], ["demo", "--n", "3", "-s", "a | b"]]


@pytest.mark.skipif(not COMMANDS, reason="the command line is not here")
def test_a_wrong_command_line_is_found():
    assert problems(["demo", "--json"]) == []
    assert problems(["demo", "--no-such-flag"]) == ["tts demo knows no --no-such-flag"]
    assert problems(["dem"]) == ["tts  knows no dem"]


@pytest.mark.skipif(not COMMANDS, reason="the command line is not here")
@pytest.mark.parametrize("page", of("console"), ids=named)
def test_the_commands_of_a_page_exist(page):
    found = commands(blocks(page.read_text(encoding="utf-8")))
    assert [problem for words in found for problem in problems(words)] == []


@pytest.mark.skipif(not COMMANDS, reason="the command line is not here")
@pytest.mark.skipif(which("bwrap") is None, reason="bubblewrap is not installed")
@pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the pages are not here")
def test_the_tutorial_on_a_repository_of_your_own_does_what_it_says(tmp_path):
    page = ROOT / "docs" / "tutorials" / "your-own-repository.md"
    found = blocks(page.read_text(encoding="utf-8"))
    for block in found:
        if block.title:
            (tmp_path / block.title).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / block.title).write_text(block.text, encoding="utf-8")
    (shim := tmp_path / "bin" / "tts").parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tts "$@"\n')
    shim.chmod(0o755)
    text = "".join(block.text for block in found if block.language == "console")
    lines = [line.removeprefix("$ ") for line in text.splitlines()]
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("GIT_")},
        "PATH": f"{shim.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    done = subprocess.run(
        ["sh", "-ec", "\n".join(lines)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "4 rollouts run, 0 found" in done.stderr
    assert "0 rollouts run, 4 found" in done.stderr
    shown = next(block.text for block in found if block.language == "text")
    told = [line for line in shown.splitlines() if line.startswith(("tests ", "+", "-"))]
    assert [line for line in told if line not in done.stdout] == []
    assert "sum(prices)" in (tmp_path / "shop" / "cart.py").read_text()
