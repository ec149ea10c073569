"""Shell command lines, read into simple commands; which of them change files."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

_MOST_READ = 20_000
_ASSIGNMENT = re.compile(r"\w+=")
_OPERATOR = re.compile(r"[();<>|&\n]+")


@dataclass(frozen=True, slots=True)
class Part:
    """One simple command of a line: the operator before it, its words, the files it writes and reads."""

    joint: str
    words: tuple[str, ...]
    writes: tuple[str, ...]
    reads: bool


def is_edit(action: str) -> bool:
    """Return whether the action is known to change files.

    Known are edit actions of agents (`edit …`, `str_replace…`), `sed -i`, `tee`, `patch`, `git apply`
    and other git commands that touch the tree, `mv`, `cp`, `rm`, formatters, and output redirected into
    a file that is neither a log nor directly under /tmp. What a script or an interpreter writes cannot
    be known from its command line.
    """
    first, _, rest = action.strip().partition(" ")
    if first in _EDIT_ACTIONS:
        return not (first.startswith("str_replace") and rest.lstrip().startswith("view"))
    if len(action) > _MOST_READ or _unreadable(action):
        return bool(_EDIT_HINT.search(action[:_MOST_READ]))
    return any(edits(part) for part in simple_commands(action))


_EDIT_ACTIONS = frozenset(
    (
        "edit",
        "revert",
        "undo",
        "apply_patch",
        "create",
        "insert",
        "write",
        "str_replace",
        "str_replace_editor",
        "str_replace_based_edit_tool",
    )
)
_EDITORS = frozenset(
    (
        "tee",
        "patch",
        "apply_patch",
        "mv",
        "cp",
        "rm",
        "truncate",
        "black",
        "isort",
        "yapf",
        "autopep8",
        "ed",
    )
)
_GIT_EDITS = frozenset(
    (
        "apply",
        "am",
        "checkout",
        "restore",
        "reset",
        "revert",
        "stash",
        "merge",
        "rebase",
        "cherry-pick",
        "pull",
        "rm",
        "mv",
        "clean",
        "switch",
    )
)
_EDIT_HINT = re.compile(
    r"\b(?:sed|perl)\s+-\w*i|\b(?:tee|patch|apply_patch|mv|cp|rm)\s|\bgit\s+\w+|>\s*[\w./~$\"']"
)


def edits(part: Part) -> bool:
    """Return whether the simple command is known to change files."""
    if any(not is_scratch(name) for name in part.writes):
        return True
    words = unwrapped(part.words)
    for i, word in enumerate(words):
        name, rest = posixpath.basename(word), words[i + 1 :]
        if name in ("sed", "perl") and any(re.match(r"-[a-zA-Z]*i|--in-place", w) for w in rest):
            return True
        if name in ("bash", "sh") and rest[:1] in (("-c",), ("-lc",)):
            return any(is_edit(script) for script in rest[1:2])
        if i == 0 or words[0] in ("xargs", "find"):
            if name == "git" and _git_verb(rest) in _GIT_EDITS:
                return True
            if name in _EDITORS and not (name == "tee" and all(is_scratch(w) for w in rest)):
                return True
            if name == "ruff" and {"format", "--fix"} & set(rest):
                return True
    return False


def _git_verb(words: Sequence[str]) -> str:
    rest = list(words)
    while rest and rest[0].startswith("-"):
        del rest[: 2 if rest[0] in ("-C", "-c") else 1]
    return rest[0] if rest else ""


def is_scratch(name: str) -> bool:
    """Return whether a file that is written is a log, a device or directly under /tmp."""
    path = posixpath.normpath(name)
    return path.startswith("/dev/") or posixpath.dirname(path) == "/tmp" or path.endswith((".log", ".out"))


def _unreadable(command: str) -> bool:
    return bool(command.strip()) and not simple_commands(command)


@lru_cache(maxsize=1024)
def simple_commands(command: str) -> tuple[Part, ...]:
    """Return the line's simple commands; none where it is too long or its quotes do not match."""
    if len(command) > _MOST_READ:
        return ()
    lexer = shlex.shlex(command.strip(), posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    try:
        tokens = list(lexer)
    except ValueError:
        return ()
    return tuple(_grouped(tokens))


def _grouped(tokens: Sequence[str]) -> list[Part]:
    parts: list[Part] = []
    joint, words, writes, reads = "", list[str](), list[str](), False
    redirect = ""
    for token in [*tokens, "\n"]:
        if _OPERATOR.fullmatch(token) and ("<" in token or ">" in token):
            redirect, reads = token, reads or "<" in token
            if words and words[-1].isdigit():
                words.pop()
        elif _OPERATOR.fullmatch(token):
            if words or writes:
                parts.append(Part(joint, tuple(words), tuple(writes), reads))
            joint, words, writes, reads, redirect = token.strip("\n") or ";", [], [], False, ""
        elif redirect:
            if ">" in redirect and not token.isdigit():
                writes.append(token)
            redirect = ""
        else:
            words.append(token)
    return parts


_WRAPPERS = frozenset(["env", "time", "command", "exec", "sudo", "nohup"])
_RUNNERS = frozenset(["uv", "poetry", "pipenv", "hatch", "pdm", "rye"])


def unwrapped(words: Sequence[str]) -> tuple[str, ...]:
    """Return the words without assignments and wrapping commands in front."""
    rest = list(words)
    while rest:
        if rest[0] in _WRAPPERS or _ASSIGNMENT.match(rest[0]):
            del rest[0]
        elif rest[0] == "timeout":
            del rest[0]
            while rest and re.match(r"-|\d+(?:\.\d+)?[smhd]?$", rest[0]):
                del rest[0]
        elif rest[0] in _RUNNERS and rest[1:2] == ["run"]:
            del rest[:2]
        else:
            break
    return tuple(rest)
