"""Names and strategy text become agents, judges, summarizers, pipelines; the only room that knows plug-ins.

Entry-point groups: `tts.stages`, `tts.presets`, `tts.estimators`, `tts.agents`, `tts.judges`,
`tts.summarizers`.  Built-ins register there too.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from tts.errors import StrategyError, UsageError
from tts.pipeline import Pipeline
from tts.protocols import Stage

NAME = re.compile(r"(?P<name>[a-zA-Z][a-zA-Z0-9_-]*?)(?:-(?P<m>\d+))?(?:@(?P<n>\d+))?")
"""`vote`, `vote@16`, `pdr-rtv@6`, `short-3@8`."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """A pipeline under the name that the user gave it."""

    name: str
    run: Pipeline

    @property
    def text(self) -> str:
        """The pipeline written out in stages."""
        return str(self.run)


@cache
def plugins(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name.

    Raises:
        UsageError: two packages register the same name.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        if point.name in found and found[point.name].value != point.value:
            raise UsageError(
                f"{point.value} and {found[point.name].value} both register {point.name!r} in {group}: "
                "uninstall one of the packages"
            )
        found[point.name] = point
    return dict(sorted(found.items()))


def load(group: str, name: str) -> Any:
    """Return the object registered under a name.

    Raises:
        UsageError: there is none, or its module cannot be imported; the message names the choices.
    """
    points = plugins(group)
    if name not in points:
        kind = group.removeprefix("tts.").removesuffix("s")
        raise UsageError(f"there is no {kind} {name!r}; {_choices(name, list(points))}")
    try:
        return points[name].load()
    except (ImportError, AttributeError) as error:
        raise UsageError(f"{name!r} ({points[name].value}) cannot be loaded: {error}") from error


def resolve(text: str) -> Strategy:
    """Return the strategy of a text: a preset (`rtv@16`) or stages (`sample(16) | rtv(keep=4)`).

    Raises:
        StrategyError: it cannot be read; the message points at the place and names the choices.
    """
    stripped = text.strip()
    match = NAME.fullmatch(stripped)
    if match is None:
        return Strategy(stripped, Pipeline(*_stages(stripped), name=stripped))
    return Strategy(stripped, _preset(stripped, match))


def estimator(text: str) -> Any:
    """Return the estimator of a name such as `pass@5`, `pass^5`, `vote@9` or `short-3@9`, None without one.

    The registered name is the pattern (`pass@k`, `short-m@k`) and its object a factory of the numbers.
    """
    for pattern in plugins("tts.estimators"):
        numbers = _numbers(pattern, text.strip())
        if numbers is not None:
            return load("tts.estimators", pattern)(**numbers)
    return None


def _numbers(pattern: str, text: str) -> dict[str, int] | None:
    """Return what stands for the letters of a pattern: `short-m@k` in `short-3@8` gives m=3, k=8."""
    expression = re.sub(
        r"(?<=[@^-])\\?([a-z])(?![a-z])", r"(?P<\1>\\d+)", re.escape(pattern).replace(r"\-", "-")
    )
    match = re.fullmatch(expression, text)
    return None if match is None else {name: int(value) for name, value in match.groupdict().items()}


def _preset(text: str, match: re.Match[str]) -> Pipeline:
    name = match["name"]
    if name not in plugins("tts.presets"):
        names = list(plugins("tts.presets"))
        raise StrategyError(
            f"{text!r}: there is no preset {name!r}; {_choices(name, names)}, or write stages"
        )
    preset = load("tts.presets", name)
    takes = inspect.signature(preset).parameters
    numbers = {key: int(match[key]) for key in ("m", "n") if match[key] is not None}
    for key in numbers:
        if key not in takes:
            form = {"n": f"{name}@{numbers[key]}", "m": f"{name}-{numbers[key]}"}[key]
            raise StrategyError(
                f"{text!r}: the preset {name!r} takes no number there; write {name!r}, not {form!r}"
            )
    try:
        pipeline: Pipeline = preset(**numbers)
    except UsageError as error:
        raise StrategyError(f"{text!r}: {error}") from None
    return Pipeline(*pipeline.stages, name=text)


def _stages(text: str) -> list[Stage]:
    if not text:
        raise StrategyError(
            f"an empty strategy; {_choices('', list(plugins('tts.presets')))}, or write stages"
        )
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError) as error:
        column = getattr(error, "offset", None) or 1
        raise StrategyError(
            f"{text!r}: cannot be read at column {column}; write it like 'sample(16) | rtv(keep=4)'"
        ) from None
    return [_stage(call, text) for call in _links(tree)]


def _links(tree: ast.expr) -> Iterator[ast.expr]:
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.BitOr):
        yield from _links(tree.left)
        yield from _links(tree.right)
    else:
        yield tree


def _stage(node: ast.expr, text: str) -> Stage:
    call = node if isinstance(node, ast.Call) else None
    named = call.func if call else node
    if not isinstance(named, ast.Name):
        raise _wrong(node, text, "expected a stage such as sample(16)")
    stages = plugins("tts.stages")
    if named.id not in stages:
        raise _wrong(named, text, f"there is no stage {named.id!r}; {_choices(named.id, list(stages))}")
    factory = load("tts.stages", named.id)
    positional = [_value(argument, text) for argument in call.args] if call else []
    keywords = {k.arg: _value(k.value, text) for k in call.keywords if k.arg} if call else {}
    return _made(factory, positional, keywords, lambda told: _wrong(node, text, told))


def _made(
    factory: Callable[..., Stage],
    positional: list[Any],
    keywords: dict[str, Any],
    wrong: Callable[[str], StrategyError],
) -> Stage:
    signature = inspect.signature(factory)
    try:
        signature.bind(*positional, **keywords)
    except TypeError as error:
        takes = ", ".join(str(p).split(":")[0] for p in signature.parameters.values())
        raise wrong(f"{error}; it takes ({takes})") from None
    try:
        return factory(*positional, **keywords)
    except (UsageError, TypeError, ValueError) as error:
        raise wrong(str(error)) from None


def _value(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.Name):
        return node.id
    try:
        return ast.literal_eval(node)
    except (ValueError, SyntaxError):
        raise _wrong(node, text, "expected a number, a word or a quoted text") from None


def _wrong(node: ast.expr, text: str, told: str) -> StrategyError:
    return StrategyError(f"{text!r}: at column {node.col_offset + 1}: {told}")


def _choices(name: str, names: list[str]) -> str:
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}there is {', '.join(sorted(names)) or 'none installed'}"
