"""Fills the reference pages of the site from the registry and from the command line's own help."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

import typer
import typer.main

from tts.cli.main import app
from tts.registry import plugins
from tts.report.catalogue import USE, catalogue, described

WIDTH = 98
"""Columns of a command's help."""

ENTRIES = {"presets": "written", "estimators": "name", "judges": "name", "summarizers": "name"}
"""The groups beside the stages, and what names an entry of each."""


def strategies() -> str:
    """Return the registry as Markdown: a table of the methods, each in full, then the other groups."""
    found = catalogue()
    parts = ["## Methods", _methods(found["stages"])]
    parts += ["## Stages", *(_stage(entry) for entry in found["stages"])]
    for group, named in ENTRIES.items():
        parts += [f"## {group.capitalize()}", _table(found[group], named)]
    return "\n\n".join(parts)


def command_line() -> str:
    """Return the help of `tts` and of each of its commands as Markdown."""
    return "\n\n".join(f"## {name}\n\n```text\n{told}\n```" for name, told in _helps())


PARTS: dict[str, Callable[[], str]] = {
    "<!-- the registry -->": strategies,
    "<!-- the command line -->": command_line,
}
"""What stands in a page, and what takes its place."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return the page with its generated parts; called by mkdocs for every page."""
    for mark, part in PARTS.items():
        if mark in markdown:
            markdown = markdown.replace(mark, part())
    return markdown


def _stage(entry: dict[str, Any]) -> str:
    stage = plugins("tts.stages")[entry["name"]].load()
    source = inspect.getdoc(sys.modules[stage.__module__]) or ""
    signature = f"{entry['name']}({', '.join(entry['parameters'])})"
    use = "\n".join(f"- {mark} {entry[name]}" for mark, name in USE.items() if entry[name])
    return f"### {entry['name']}\n\n```text\n{signature}\n```\n\n{described(stage)}\n\n{use}\n\n{source}"


def _methods(entries: list[dict[str, Any]]) -> str:
    """Return the table of the methods: what each needs and costs, when to use it, and where it is from."""
    rows = (
        " | ".join([f"[`{e['name']}`](#{e['name']})", *(_cell(e[name]) for name in USE.values()), _links(e)])
        for e in entries
    )
    head = "| method | needs | costs | use it | source |\n|---|---|---|---|---|"
    return "\n".join([head, *(f"| {row} |" for row in rows)])


def _cell(told: str) -> str:
    return told.rstrip(".").replace("|", "\\|")


def _links(entry: dict[str, Any]) -> str:
    numbers = entry["sources"]
    return ", ".join(f"[{n}](https://arxiv.org/abs/{n})" for n in numbers) or "–"


def _table(entries: list[dict[str, Any]], named: str) -> str:
    rows = [f"| `{e[named]}` | {_about(e)} |" for e in entries]
    return "\n".join(["| name | what it is |", "|---|---|", *rows])


def _about(entry: dict[str, Any]) -> str:
    oracle = " Oracle: it uses the truth." if entry.get("oracle") else ""
    pipeline = entry.get("pipeline", "").replace("|", "\\|")
    written_out = f" With the default numbers: `{pipeline}`." if pipeline else ""
    return entry["about"] + oracle + written_out


def _helps() -> Iterator[tuple[str, str]]:
    yield from _help("tts", typer.main.get_command(app), None)


def _help(path: str, command: Any, parent: Any) -> Iterator[tuple[str, str]]:
    """Yield the help of a command, and of those below it."""
    told = {"terminal_width": WIDTH, "resilient_parsing": True}
    context = command.make_context(path.split()[-1], [], parent=parent, **told)
    yield path, command.get_help(context)
    for name, inner in getattr(command, "commands", {}).items():
        yield from _help(f"{path} {name}", inner, context)
