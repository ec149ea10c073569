"""Lists what is registered: stages with their parameters, presets with their pipelines, and the roles."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, TypeAlias

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tts.errors import UsageError
from tts.registry import load, plugins
from tts.report import text

Entry: TypeAlias = dict[str, Any]

HINT = "-s takes a preset, an estimator, or stages: -s 'sample(16) | rtv(keep=4) | refine(16) | rtv()'"
GROUPS = ("stages", "presets", "estimators", "judges", "summarizers", "agents")


def catalogue() -> dict[str, list[Entry]]:
    """Return the entries of every group: `name`, `about`, and what the group has beside them.

    Stages have `parameters` (as they are written), presets `written` (the form of the name) and `pipeline`
    (with the default numbers), estimators `oracle`. What cannot be loaded has `error` instead.
    """
    return {group: [_entry(group, name) for name in plugins(f"tts.{group}")] for group in GROUPS}


def catalogue_view(found: Mapping[str, list[Entry]]) -> RenderableType:
    """Return the catalogue as tables."""
    parts: list[RenderableType] = []
    for group, entries in found.items():
        parts += [Text(group, style="bold"), _table(entries), Text("")]
    return Group(*parts, Text(HINT, style="dim"))


def _entry(group: str, name: str) -> Entry:
    try:
        found = load(f"tts.{group}", name)
        return {"name": name, "about": _about(found), **_more(group, name, found)}
    except UsageError as error:
        return {"name": name, "about": "", "error": str(error)}


def _more(group: str, name: str, found: Any) -> Entry:
    if group == "stages":
        return {"parameters": [_parameter(p) for p in inspect.signature(found).parameters.values()]}
    if group == "presets":
        numbers = inspect.signature(found).parameters
        written = name + "-m" * ("m" in numbers) + "@N" * ("n" in numbers)
        return {"written": written, "pipeline": str(found())}
    return {"oracle": bool(found.oracle)} if group == "estimators" else {}


def _parameter(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return parameter.name
    return f"{parameter.name}={parameter.default!r}"


def _about(found: Any) -> str:
    return text.line((inspect.getdoc(found) or "").split("\n\n")[0], 300)


def _table(entries: list[Entry]) -> RenderableType:
    if not entries:
        return Text("  none installed", style="dim")
    table = Table.grid(padding=(0, 2), pad_edge=True)
    table.add_column(no_wrap=True, style="cyan")
    table.add_column()
    for entry in entries:
        table.add_row(Text(_written(entry)), Text(entry.get("error") or entry["about"]))
        for detail in _details(entry):
            table.add_row("", Text(detail, style="dim"))
    return table


def _written(entry: Entry) -> str:
    return text.line(entry.get("written") or entry["name"], 40) + " (oracle)" * bool(entry.get("oracle"))


def _details(entry: Entry) -> list[str]:
    if "parameters" in entry:
        return [text.line(f"{entry['name']}({', '.join(entry['parameters'])})")]
    return [text.line(entry["pipeline"])] if "pipeline" in entry else []
