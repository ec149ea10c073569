"""Operators on expressions: signs, constants, names, bounds, calls and values."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tts.demo.source import Site, Span, called

_NEAR_SIGNS: dict[type[ast.AST], tuple[str, tuple[str, ...]]] = {
    ast.Lt: ("<", ("<=", ">", ">=")),
    ast.LtE: ("<=", ("<", ">=", "==")),
    ast.Gt: (">", (">=", "<", "<=")),
    ast.GtE: (">=", (">", "<=", "==")),
    ast.Eq: ("==", ("!=", "<=", ">=")),
    ast.NotEq: ("!=", ("==",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: ("not in", ("in",)),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)),
    ast.Add: ("+", ("-", "*")),
    ast.Sub: ("-", ("+",)),
    ast.Mult: ("*", ("/", "+", "//")),
    ast.Div: ("/", ("*", "//")),
    ast.FloorDiv: ("//", ("/", "%")),
    ast.Mod: ("%", ("//",)),
    ast.And: ("and", ("or",)),
    ast.Or: ("or", ("and",)),
    ast.BitAnd: ("&", ("|", "-")),
    ast.BitOr: ("|", ("&", "^")),
}


def comparison(site: Site) -> Iterator[Span]:
    """`<` to `<=` and the like."""
    if isinstance(site.node, ast.Compare):
        sides = [site.node.left, *site.node.comparators]
        for sign, left, right in zip(site.node.ops, sides, sides[1:], strict=False):
            old, near = _NEAR_SIGNS[type(sign)]
            for new in near:
                yield from site.between(left, right, old, new)


def arithmetic(site: Site) -> Iterator[Span]:
    """`+` to `-` and the like, also in `+=`."""
    node = site.node
    if isinstance(node, ast.BinOp) and type(node.op) in _NEAR_SIGNS:
        old, near = _NEAR_SIGNS[type(node.op)]
        for new in near:
            yield from site.between(node.left, node.right, old, new)
    if isinstance(node, ast.AugAssign) and type(node.op) in _NEAR_SIGNS:
        old, near = _NEAR_SIGNS[type(node.op)]
        for new in (*(f"{sign}=" for sign in near), "="):
            yield from site.between(node.target, node.value, f"{old}=", new)


def boolean(site: Site) -> Iterator[Span]:
    """`and` to `or` and back."""
    if isinstance(site.node, ast.BoolOp):
        old, (new,) = _NEAR_SIGNS[type(site.node.op)]
        for left, right in zip(site.node.values, site.node.values[1:], strict=False):
            yield from site.between(left, right, old, new)


def drop_part(site: Site) -> Iterator[Span]:
    """`a and b` to `a` or to `b`, `a if c else b` to a branch, `a + b` to a side, `f(a)` to `a`."""
    node = site.node
    parts: list[ast.expr] = []
    if isinstance(node, ast.BoolOp):
        parts = node.values if len(node.values) == 2 else []
    elif isinstance(node, ast.IfExp):
        parts = [node.body, node.orelse]
    elif isinstance(node, ast.BinOp):
        parts = [node.left, node.right]
    elif isinstance(node, ast.Call) and len(node.args) == 1 and not isinstance(site.parent, ast.Expr):
        parts = [node.args[0]]
    for part in parts:
        yield site.put(node, site.text(part))


def regroup(site: Site) -> Iterator[Span]:
    """`a + b * c` to `(a + b) * c`, `a or b and c` to `(a or b) and c`."""
    node = site.node
    sides = _sides(node)
    if not sides:
        return
    start, end = site.module.span(node)
    for inner, pick in ((sides[-1], 0), (sides[0], -1)):
        if _sides(inner) and type(getattr(inner, "op", 0)) is not type(getattr(node, "op", 0)):
            low, high = site.module.span(_sides(inner)[pick])
            first, last = (start, high) if pick == 0 else (low, end)
            text = site.module.source[first:last].decode()
            if text.count("(") == text.count(")"):
                yield (first, last, f"({text})")


def _sides(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.BinOp):
        return [node.left, node.right]
    return node.values if isinstance(node, ast.BoolOp) else []


def negate(site: Site) -> Iterator[Span]:
    """A condition to its opposite."""
    node = site.node
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield site.put(node, site.text(node.operand))
    if isinstance(node, (ast.If, ast.While, ast.IfExp)) and not isinstance(
        node.test, (ast.Compare, ast.UnaryOp)
    ):
        text = site.text(node.test)
        yield site.put(node.test, f"not ({text})" if isinstance(node.test, ast.BoolOp) else f"not {text}")


def none_test(site: Site) -> Iterator[Span]:
    """Truth to a test for None: `if x` to `if x is not None`, `x or y` to its longer form, and back."""
    node = site.node
    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        test = node.test
        bare = test.operand if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) else test
        if isinstance(bare, (ast.Name, ast.Attribute, ast.Call)):
            yield site.put(test, f"{site.text(bare)} is {'not ' if bare is test else ''}None")
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or) and len(node.values) == 2:
        if isinstance(node.values[0], (ast.Compare, ast.BoolOp, ast.UnaryOp)):
            return
        first, second = (site.text(value) for value in node.values)
        yield site.put(node, f"{first} if {first} is not None else {second}")
    if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Is, ast.IsNot)) and len(node.ops) == 1:
        yield site.put(node, ("not " if isinstance(node.ops[0], ast.Is) else "") + site.text(node.left))


def constant(site: Site) -> Iterator[Span]:
    """A number to its neighbours, True to False, a text to another text of the function."""
    node = site.node
    if not isinstance(node, ast.Constant):
        return
    value = node.value
    if isinstance(value, bool):
        yield site.put(node, str(not value))
    elif isinstance(value, (int, float)):
        near = [value + 1, value - 1, 0, 1, *site.numbers()]
        yield from (site.put(node, repr(n)) for n in dict.fromkeys(near) if n != value and n >= -1)
    elif isinstance(value, str):
        others = [*site.texts(), "", f" {value}", f"{value} ", " "]
        yield from (site.put(node, repr(text)) for text in dict.fromkeys(others) if text != value)
    elif value is None:
        yield from (site.put(node, text) for text in ("0", "''", "[]", "False"))


def off_by_one(site: Site) -> Iterator[Span]:
    """An index, bound, argument, operand, compared or returned value to one more or less."""
    node, parent = site.node, site.parent
    if not isinstance(node, (ast.Name, ast.Attribute, ast.Call, ast.BinOp, ast.Subscript)):
        return
    if site.is_collection(node):
        return
    is_bound = isinstance(parent, (ast.Slice, ast.Compare, ast.Return))
    is_index = isinstance(parent, ast.Subscript) and node is parent.slice
    is_argument = isinstance(parent, ast.Call) and node in parent.args
    if is_bound or is_index or is_argument:
        yield from (site.put(node, site.text(node) + more) for more in (" + 1", " - 1"))
    elif isinstance(parent, ast.BinOp):
        yield from (site.put(node, f"({site.text(node)}{more})") for more in (" + 1", " - 1"))


def bounds(site: Site) -> Iterator[Span]:
    """`[:n]` to `[n:]`, a slice without one of its bounds, `range(n)` to `range(1, n)` and the like."""
    node = site.node
    if isinstance(node, ast.Slice):
        low = site.text(node.lower) if node.lower else ""
        high = site.text(node.upper) if node.upper else ""
        new = {f"{high}:{low}", f"{low}:", f":{high}", f"1:{high}", f"{low}:-1", f"{low}:{high}:-1", "::-1"}
        yield from (site.put(node, text) for text in sorted(new - {site.text(node), ":", ""}))
    if isinstance(node, ast.Call) and called(node) == "range" and not node.keywords:
        texts = [site.text(argument) for argument in node.args]
        if len(texts) == 1:
            yield site.put(node, f"range(1, {texts[0]})")
            yield site.put(node, f"range(1, {texts[0]} + 1)")
            yield site.put(node, f"range({texts[0]} - 1, -1, -1)")
        elif len(texts) == 2:
            yield site.put(node, f"range({texts[1]})")


def name(site: Site) -> Iterator[Span]:
    """A variable to another of the function, an attribute to another of the same object."""
    node = site.node
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        if node.id in site.names():
            yield from (site.put(node, other) for other in site.names() if other != node.id)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        is_call = isinstance(site.parent, ast.Call) and site.parent.func is node
        if not is_call:
            for other in site.attributes(node.value.id):
                if other != node.attr:
                    yield site.put(node, f"{node.value.id}.{other}")


def swap(site: Site) -> Iterator[Span]:
    """Two arguments, the sides of `-`, `/` or `+`, the members of a tuple."""
    node = site.node
    pairs: list[tuple[ast.expr, ast.expr]] = []
    if isinstance(node, ast.Call):
        pairs = list(zip(node.args, node.args[1:], strict=False))
    elif isinstance(node, ast.BinOp):
        pairs = [(node.left, node.right)]
    elif isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load):
        pairs = list(zip(node.elts, node.elts[1:], strict=False))
    elif isinstance(node, ast.IfExp):
        pairs = [(node.body, node.orelse)]
    for left, right in pairs:
        start, end = site.module.span(left)[0], site.module.span(right)[1]
        gap = site.module.source[site.module.span(left)[1] : site.module.span(right)[0]].decode()
        if gap.count("(") == gap.count(")"):
            yield (start, end, site.text(right) + gap + site.text(left))


_NEIGHBOURS = (
    "strip lstrip rstrip, min max, append extend, any all, floor ceil, lower upper casefold, "
    "startswith endswith, find rfind, index rindex, split rsplit, partition rpartition, "
    "keys values items, add discard, get setdefault, "
    "int round float, sum len, removeprefix removesuffix, bisect_left bisect_right, floor round, ceil round, "
    "title capitalize, popleft pop, appendleft append, union intersection difference, seconds total_seconds, "
    "isdigit isalnum isalpha, ljust rjust center, isoweekday weekday, list sorted, list set, items values, "
    "sorted reversed, update setdefault, replace strip, match fullmatch search, splitlines split"
)


def _neighbours() -> dict[str, list[str]]:
    near: dict[str, list[str]] = {}
    for group in _NEIGHBOURS.split(","):
        for word in group.split():
            near.setdefault(word, []).extend(other for other in group.split() if other != word)
    return near


NEIGHBOURS = _neighbours()
"""Names of functions and methods that are mistaken for one another."""


def neighbour(site: Site) -> Iterator[Span]:
    """`lstrip` to `strip`, `min` to `max`, `floor` to `ceil` and the like."""
    node = site.node
    if isinstance(node, ast.Attribute) and node.attr in NEIGHBOURS:
        end = site.module.span(node)[1]
        start = end - len(node.attr.encode())
        yield from ((start, end, other) for other in NEIGHBOURS[node.attr])
    elif isinstance(node, ast.Name) and node.id in NEIGHBOURS and node.id not in site.names():
        yield from (site.put(node, other) for other in NEIGHBOURS[node.id])


def call_form(site: Site) -> Iterator[Span]:
    """A call without a keyword, with `reverse=True`, with `pop(0)` for `pop()`, without an argument."""
    node = site.node
    if not isinstance(node, ast.Call):
        return
    name_called = called(node)
    end = site.module.span(node)[1] - 1
    if name_called in ("sorted", "sort") and not any(k.arg == "reverse" for k in node.keywords):
        yield (end, end, ", reverse=True" if node.args or node.keywords else "reverse=True")
    if name_called == "pop" and len(node.args) < 2:
        yield (site.module.span(node.func)[1] + 1, end, "" if node.args else "0")
    parts = [*node.args, *node.keywords]
    if len(parts) > 1:
        start = site.module.span(parts[-2])[1]
        yield (start, site.module.span(parts[-1])[1], "")


_NUMBER_PLACES = (
    *(ast.Return, ast.Assign, ast.AugAssign, ast.Call, ast.BinOp, ast.Compare, ast.Slice, ast.Tuple),
)
_TEXT_PLACES = (ast.Return, ast.Assign, ast.Call, ast.Compare, ast.Subscript, ast.comprehension, ast.If)
_COPY_PLACES = (
    *(ast.Return, ast.Assign, ast.For, ast.Call, ast.comprehension, ast.keyword, ast.Dict, ast.Tuple),
)


def copied(site: Site) -> Iterator[Span]:
    """A value to a copy of it, ordered or not: `list(x)`, `dict(x)`, `sorted(x)`, `set(x)`."""
    if _is_value(site, _COPY_PLACES) and not isinstance(site.node, ast.BinOp):
        for form in ("list({})", "dict({})", "sorted({})", "set({})"):
            yield site.put(site.node, form.format(site.text(site.node)))


def cleaned(site: Site) -> Iterator[Span]:
    """A text to its stripped or lower-case form, a value to a text."""
    if _is_value(site, _TEXT_PLACES) and not isinstance(site.node, (ast.BinOp, ast.BoolOp)):
        for form in ("{}.strip()", "{}.lower()", "str({})"):
            yield site.put(site.node, form.format(site.text(site.node)))


def bounded(site: Site) -> Iterator[Span]:
    """A number to its absolute, negative, rounded or whole value, or to one that is not below 0 or 1."""
    if not _is_value(site, _NUMBER_PLACES) or isinstance(site.node, ast.BoolOp):
        return
    if not site.is_collection(site.node):
        for form in ("abs({})", "max({}, 0)", "int({})", "max({}, 1)", "round({})", "-({})", "len({})"):
            yield site.put(site.node, form.format(site.text(site.node)))


def of_two(site: Site) -> Iterator[Span]:
    """`a.end` to the larger or the smaller of `a.end` and `b.end`, and so with variables."""
    node = site.node
    if not isinstance(node, (ast.Name, ast.Attribute)) or not _is_value(
        site, (ast.Return, ast.Assign, ast.Call)
    ):
        return
    own, tail = (node, "") if isinstance(node, ast.Name) else (node.value, f".{node.attr}")
    if isinstance(own, ast.Name) and own.id in site.names():
        for other in site.names():
            if other != own.id:
                yield site.put(node, f"max({site.text(node)}, {other}{tail})")
                yield site.put(node, f"min({site.text(node)}, {other}{tail})")


def _is_value(site: Site, places: tuple[type[ast.AST], ...]) -> bool:
    node, parent = site.node, site.parent
    kinds = (ast.Name, ast.Attribute, ast.BinOp, ast.BoolOp, ast.Call, ast.Subscript)
    is_target = isinstance(getattr(node, "ctx", None), (ast.Store, ast.Del))
    is_called = isinstance(parent, ast.Call) and parent.func is node
    return isinstance(node, kinds) and isinstance(parent, places) and not is_target and not is_called
