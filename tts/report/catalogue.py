"""Lists what is registered: stages with their parameters, presets with their pipelines, and the roles."""

from __future__ import annotations

import inspect
import re
import sys
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
USE = {"Needs:": "needs", "Costs:": "costs", "Use it:": "use"}
"""What the last lines of a stage's docstring begin with, and what an entry calls them."""
GROUPS = ("stages", "presets", "estimators", "judges", "summarizers", "agents")


def catalogue() -> dict[str, list[Entry]]:
    """Return the entries of every group: `name`, `about`, and what the group has beside them.

    Stages have `parameters` (as they are written), `needs`, `costs` and `use` (sentences, empty where the
    docstring has none) and `sources` (arXiv numbers that their module names). Presets have `written` (the
    form of the name) and `pipeline` (with the default numbers), estimators `oracle`. What cannot be loaded
    has `error` instead.
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
        parameters = [_parameter(p) for p in inspect.signature(found).parameters.values()]
        return {"parameters": parameters, **use_of(found), "sources": _sources(found)}
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
    return text.line(described(found).split("\n\n")[0], 300)


def described(found: Any) -> str:
    """Return a docstring without the lines that say what it needs and costs and when to use it."""
    return re.split(rf"^(?={_marks()})", inspect.getdoc(found) or "", maxsplit=1, flags=re.M)[0].strip()


def use_of(found: Any) -> dict[str, str]:
    """Return what a stage needs, what it costs and when to use it, as its docstring says."""
    parts = re.split(rf"^({_marks()})", inspect.getdoc(found) or "", flags=re.M)
    told = dict(zip(parts[1::2], parts[2::2], strict=True))
    return {name: text.line(" ".join(told.get(mark, "").split()), 300) for mark, name in USE.items()}


def _marks() -> str:
    return "|".join(USE)


def _sources(found: Any) -> list[str]:
    module = sys.modules.get(getattr(found, "__module__", ""))
    return list(dict.fromkeys(re.findall(r"arXiv\s+(\d{4}\.\d{4,5})", inspect.getdoc(module) or "")))


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
        told = [f"{mark} {entry[name]}" for mark, name in USE.items() if entry[name]]
        return [text.line(f"{entry['name']}({', '.join(entry['parameters'])})"), *told, *_numbers(entry)]
    return [text.line(entry["pipeline"])] if "pipeline" in entry else []


def _numbers(entry: Entry) -> list[str]:
    return (
        [f"Source: {', '.join(f'arXiv {number}' for number in entry['sources'])}"] if entry["sources"] else []
    )
