"""Names and strategy text become agents, judges, summarizers, pipelines; the only room that knows plug-ins.

Entry-point groups: `tts.stages`, `tts.presets`, `tts.estimators`, `tts.agents`, `tts.judges`,
`tts.summarizers`.  Built-ins register there too.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from tts.errors import StrategyError, UsageError
from tts.pipeline import Pipeline
from tts.protocols import Stage

NAME = re.compile(r"(?P<name>[a-zA-Z][a-zA-Z0-9_-]*?)(?:-(?P<m>\d{1,9}))?(?:@(?P<n>\d{1,9}))?")
"""`vote`, `vote@16`, `pdr-rtv@6`, `short-3@8`."""

LONGEST = 10_000
"""The most characters of a strategy text; longer ones could exhaust the parser's stack."""
_SHOWN = 80
"""So many characters of the text, around the place, stand in an error."""


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
    except Exception as error:
        raise UsageError(f"{name!r} ({points[name].value}) cannot be loaded: {error}") from error


def resolve(text: str) -> Strategy:
    """Return the strategy of a text: a preset (`rtv@16`) or stages (`sample(16) | rtv(keep=4)`).

    Raises:
        StrategyError: it cannot be read; the message points at the place and names the choices.
    """
    stripped = text.strip()
    if len(stripped) > LONGEST:
        raise StrategyError(f"a strategy has at most {LONGEST:,} characters, not {len(stripped):,}")
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
        r"(?<=[@^-])\\?([a-z])(?![a-z])", r"(?P<\1>\\d{1,9})", re.escape(pattern).replace(r"\-", "-")
    )
    match = re.fullmatch(expression, text)
    return None if match is None else {name: int(value) for name, value in match.groupdict().items()}


def _preset(text: str, match: re.Match[str]) -> Pipeline:
    name = match["name"]
    if name not in plugins("tts.presets"):
        names = list(plugins("tts.presets"))
        stages = (
            f"the stage {name!r} is written {name}(…)" if name in plugins("tts.stages") else "write stages"
        )
        told = f"there is no preset {_excerpt(name)!r}; {_choices(name, names)}, or {stages}"
        raise StrategyError(f"{_excerpt(text)!r}: {told}")
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
    line = re.sub(r"\s", " ", text)
    try:
        tree = ast.parse(line, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _unreadable(line, getattr(error, "offset", None) or len(line) + 1) from None
    rest = line.encode()[tree.end_col_offset :]
    if b"#" in rest:  # a comment would hide the stages after it
        raise _unreadable(line, len(line) - len(rest.decode()) + rest.decode().index("#") + 1)
    return [_stage(link, line) for link in _links(tree)]


def _unreadable(line: str, column: int) -> StrategyError:
    told = f"cannot be read at column {column}; write it like 'sample(16) | rtv(keep=4)'"
    return StrategyError(f"{_excerpt(line, column)!r}: {told}")


def _links(tree: ast.expr) -> Iterator[ast.expr]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            waiting += [node.right, node.left]
        else:
            yield node


def _stage(node: ast.expr, text: str) -> Stage:
    call = node if isinstance(node, ast.Call) else None
    named = call.func if call else node
    if not isinstance(named, ast.Name):
        raise _wrong(node, text, "expected a stage such as sample(16)")
    stages = plugins("tts.stages")
    if named.id not in stages:
        raise _wrong(named, text, f"there is no stage {named.id!r}; {_choices(named.id, list(stages))}")
    factory = load("tts.stages", named.id)
    positional = call.args if call else []
    keywords = _keywords(call.keywords, text) if call else {}
    signature = inspect.signature(factory)
    try:
        given = signature.bind(*positional, **keywords).arguments
    except TypeError as error:
        takes = ", ".join(str(p).split(":")[0] for p in signature.parameters.values())
        raise _wrong(node, text, f"{error}; it takes ({takes})") from None
    _check_types(factory, given, text)
    try:
        made: Stage = factory(
            *(_value(place, text) for place in positional),
            **{name: _value(place, text) for name, place in keywords.items()},
        )
    except (UsageError, TypeError, ValueError) as error:
        raise _wrong(node, text, str(error)) from None
    return made


def _keywords(written: Sequence[ast.keyword], text: str) -> dict[str, ast.expr]:
    keywords: dict[str, ast.expr] = {}
    for keyword in written:
        if keyword.arg is None:
            raise _wrong(keyword.value, text, "expected a parameter by its name, as in rtv(keep=4)")
        if keyword.arg in keywords:
            raise _wrong(keyword.value, text, f"{keyword.arg} is given twice")
        keywords[keyword.arg] = keyword.value
    return keywords


def _check_types(factory: Callable[..., Any], given: dict[str, Any], text: str) -> None:
    hints = _hints(factory)
    for name, place in given.items():
        if isinstance(place, ast.expr) and not _fits(value := _value(place, text), hints.get(name, Any)):
            told = f"{name} takes {_named(hints[name])}, not {_excerpt(repr(value))}"
            raise _wrong(place, text, told)


def _hints(factory: Callable[..., Any]) -> dict[str, Any]:
    """Return the types of a factory's parameters; none where its module hides them from run time."""
    try:
        return get_type_hints(factory)
    except (NameError, TypeError):
        return {}


def _fits(value: object, hint: Any) -> bool:
    """Return whether a value of the text fits a type; a type that no text can tell is left to the stage."""
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) is Callable or hint is Callable:
        return False
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    return isinstance(value, hint) if hint in (str, bool, NoneType) else True


def _named(hint: Any) -> str:
    if get_origin(hint) in (Union, UnionType):
        named = [_named(part) for part in get_args(hint)]
        return " or ".join(name for name in named if name)
    if get_origin(hint) is Literal:
        return " or ".join(repr(choice) for choice in get_args(hint))
    return _WORDS.get(hint, "")


_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "a word or a quoted text",
    bool: "True or False",
    NoneType: "None",
}


def _value(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.Name):
        return node.id
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        raise _wrong(node, text, "expected a number, a word or a quoted text") from None


def _wrong(node: ast.expr, text: str, told: str) -> StrategyError:
    column = len(text.encode()[: node.col_offset].decode()) + 1
    return StrategyError(f"{_excerpt(text, column)!r}: at column {column}: {told}")


def _excerpt(text: str, column: int = 1) -> str:
    """Return the text, or so much of it around a column as an error can show."""
    start = max(0, min(column - _SHOWN // 2, len(text) - _SHOWN))
    end = start + _SHOWN
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")


def _choices(name: str, names: list[str]) -> str:
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}there is {', '.join(sorted(names)) or 'none installed'}"
