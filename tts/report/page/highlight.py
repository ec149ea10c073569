"""Diffs as HTML with colours, by pygments; everything else in them is escaped."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from markupsafe import Markup

from tts.report import text

MOST_CHARACTERS = 40_000
"""A longer patch is cut, and a line says so."""

MOST_LINE = 2_000


def diff(patch: str) -> Markup:
    """Return a patch as highlighted HTML."""
    lexer, formatter = _tools()
    return Markup(import_module("pygments").highlight(cut(patch, MOST_CHARACTERS), lexer, formatter))


def cut(value: str, most: int) -> str:
    """Return text of at most `most` clean characters, long lines cut, with a line on what is missing."""
    lines = text.clean(value[:most]).split("\n")
    shown = [line if len(line) <= MOST_LINE else f"{line[:MOST_LINE]} … [line cut]" for line in lines]
    missing = len(value) - most
    return "\n".join([*shown, f"… [{missing:,} more characters are in the run]"] if missing > 0 else shown)


@cache
def _tools() -> tuple[Any, Any]:
    formatter = import_module("pygments.formatters").HtmlFormatter
    return import_module("pygments.lexers.diff").DiffLexer(), formatter(nowrap=True, classprefix="d-")
