"""What `tts solve` was asked for: the task, where it happens, and where the run is kept."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from tts.cli.console import say
from tts.cli.models import Voices
from tts.cli.solving.cast import Players
from tts.errors import UsageError
from tts.experiment import strategy_of
from tts.registry import NAME, estimator
from tts.report import text
from tts.types import Budget, Task, digest
from tts.workspaces.patches import commit_of, is_ignored, top_of, uncommitted

TASK = "solve"
"""The id of the one task of such a run."""

MAX_PROMPT_BYTES = 1 << 20
SHOWN = 5
"""How many files a note names."""


@dataclass(frozen=True, slots=True)
class Where:
    """A task on a commit of a repository; `top` is its working tree, `place` the run's folder."""

    prompt: str
    top: Path
    base: str
    place: Path

    @property
    def task(self) -> Task:
        """The task as agents and judges see it."""
        return Task(TASK, self.prompt, repo=str(self.top), base_commit=self.base)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """All that was asked for."""

    where: Where
    strategy: str
    players: Players
    voices: Voices
    budget: Budget
    seed: int
    workers: int
    apply: bool
    branch: str
    patch: Path | None


def prompt_of(given: str, file: Path | None) -> str:
    """Return the text of the task.

    Raises:
        UsageError: there is none, two are given, or a file cannot be read.
    """
    if bool(given) == (file is not None):
        told = "PROMPT and --prompt-file exclude each other" if given else "what is the task?"
        raise UsageError(f'{told}: write it as in tts solve "Fix …", or as @FILE, or - for standard input')
    if given == "-":
        found = sys.stdin.read(MAX_PROMPT_BYTES + 1)
    elif file is not None or given.startswith("@"):
        found = _read(file or Path(given[1:]))
    else:
        found = given
    if not found.strip():
        raise UsageError("the task is empty: say what is to be done")
    if len(found.encode("utf-8", "replace")) > MAX_PROMPT_BYTES:
        raise UsageError(f"the task is longer than {MAX_PROMPT_BYTES >> 20} MiB")
    return found


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_PROMPT_BYTES + 1).decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read {text.line(str(file))}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{text.line(str(file))} is not UTF-8 text") from None


def where_of(repo: Path, base: str, prompt: str, place: Path | None) -> Where:
    """Return where the task happens; `place` is the run's folder, None for the usual one.

    Raises:
        UsageError: there is no such repository or commit, or the folder would become part of it.
    """
    top = top_of(repo)
    commit = commit_of(top, base)
    found = place or _usual(top, commit, prompt)
    inside = found.resolve()
    if inside.is_relative_to(top.resolve()) and not is_ignored(top, inside):
        raise UsageError(
            f"-o {found} lies in the working tree and git does not ignore it: choose a folder outside"
        )
    return Where(prompt, top, commit, found)


def tell_uncommitted(where: Where) -> None:
    """Say which files have changes that no attempt will see."""
    files = uncommitted(where.top)
    if files:
        names = ", ".join(text.line(name, 60) for name in files[:SHOWN])
        more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
        say(
            f"note: attempts start from {where.base[:10]} and do not see what is not committed: {names}{more}"
        )


def strategy_named(given: str, attempts: int | None) -> str:
    """Return the strategy: `rtv@N` unless another is named, with the number of attempts that it has.

    Raises:
        UsageError: it cannot be read, or `attempts` has no place in it.
    """
    if not given:
        return "single" if attempts == 1 else f"rtv@{attempts or 4}"
    match = NAME.fullmatch(given.strip())
    if attempts is not None:
        if match is None or match["n"] is not None or given.strip() == "single":
            raise UsageError(f"--attempts {attempts}: -s {given} says already how many attempts there are")
        given = f"{given.strip()}@{attempts}"
    if estimator(given) is not None and not given.startswith(("vote", "short")):
        raise UsageError(f"-s {given} is an estimator and chooses nothing: write a strategy, such as rtv@8")
    strategy_of(given)
    return given


def _usual(top: Path, commit: str, prompt: str) -> Path:
    """The folder of this task on this commit: the same command finds it again."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in top.name)[:40] or "repository"
    return Path(state).expanduser() / "tts" / "solve" / f"{name}-{digest([str(top), commit, prompt])[:12]}"
