"""The table of operators, and those on statements; each looks at one node and yields replacements of text."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from tts.demo import expressions as on
from tts.demo.source import Site, Span, blocks, is_docstring

Operator = Callable[[Site], Iterator[Span]]


def returned(site: Site) -> Iterator[Span]:
    """A returned value to None, its opposite, another variable, an empty value."""
    node = site.node
    if isinstance(node, ast.Return) and node.value is not None:
        text = site.text(node.value)
        others = [other for other in site.names() if other != text]
        for new in (*others, "None", "True", "False", "0", "[]", "''", f"not {text}"):
            if new != text:
                yield site.put(node.value, new)


def guard(site: Site) -> Iterator[Span]:
    """An early `return` at the start of a function, or a `continue` at that of a loop, for an empty value."""
    node, parent = site.node, site.parent
    if not isinstance(node, ast.stmt) or site.function is None or node.lineno == getattr(parent, "lineno", 0):
        return
    if not isinstance(parent, (ast.FunctionDef, ast.For, ast.While)):
        return
    if [n for n in parent.body if not is_docstring(n)][:1] != [node]:
        return
    start, indent = site.module.at(node.lineno, 0), " " * node.col_offset
    used = {n.id for n in ast.walk(parent) if isinstance(n, ast.Name)}
    for variable in (v for v in _given(parent) if v in used):
        for test in (f"not {variable}", f"{variable} is None", f"{variable} <= 0"):
            for end in ("continue", "break") if not isinstance(parent, ast.FunctionDef) else _ENDS:
                yield (start, start, f"{indent}if {test}:\n{indent}    {end.format(variable)}\n")


_ENDS = (
    "return None",
    "return 0",
    "return []",
    "return ''",
    "return False",
    "return True",
    "return {}",
    "return {{}}",
)


def _given(parent: ast.AST) -> list[str]:
    if isinstance(parent, ast.FunctionDef):
        return [a.arg for a in (*parent.args.args, *parent.args.kwonlyargs) if a.arg != "self"]
    target = getattr(parent, "target", parent)
    return [n.id for n in ast.walk(target) if isinstance(n, ast.Name)]


def without_condition(site: Site) -> Iterator[Span]:
    """An `if` without `else` to its only statement."""
    node = site.node
    if isinstance(node, ast.If) and not node.orelse and len(node.body) == 1:
        inner = node.body[0]
        if inner.lineno == inner.end_lineno:
            yield site.put(node, site.text(inner))


def statement(site: Site) -> Iterator[Span]:
    """A statement left out, swapped with the next, moved out of its block; `break` to `continue`."""
    node, parent = site.node, site.parent
    if isinstance(node, (ast.Break, ast.Continue)):
        yield site.put(node, "continue" if isinstance(node, ast.Break) else "break")
    if not isinstance(node, ast.stmt) or isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return
    if is_docstring(node):
        return
    if not isinstance(node, ast.Return):
        yield site.put(node, "pass")
    for body in blocks(parent):
        if node in body:
            yield from _rearranged(site, node, body)


def _rearranged(site: Site, node: ast.stmt, body: list[ast.stmt]) -> Iterator[Span]:
    """Swap it with the next statement; move the last one, of one line, behind its block."""
    at = body.index(node)
    first, last = site.module.span(node)
    if at + 1 < len(body):
        second, end = site.module.span(body[at + 1])
        if node.col_offset == body[at + 1].col_offset:
            gap = site.module.source[last:second].decode()
            yield (first, end, site.text(body[at + 1]) + gap + site.text(node))
    elif at > 0 and node.lineno == node.end_lineno and not isinstance(site.parent, _HOLDERS):
        indent = " " * getattr(site.parent, "col_offset", 0)
        yield (site.module.at(node.lineno, 0), last, indent + site.text(node))


_HOLDERS = (ast.FunctionDef, ast.ClassDef, ast.Module, ast.Try, ast.ExceptHandler)


def add_condition(site: Site) -> Iterator[Span]:
    """A condition with `and x` or `or not x` for a variable of the function."""
    node = site.node
    if isinstance(node, (ast.If, ast.While, ast.IfExp)) and site.function:
        text = site.text(node.test)
        used = {n.id for n in ast.walk(node.test) if isinstance(n, ast.Name)}
        for variable in site.names():
            yield site.put(node.test, f"{text} and {variable}")
            yield site.put(node.test, f"{text} or not {variable}")
            if variable in used:
                yield site.put(node.test, f"{variable} is not None and {text}")


OPERATORS: tuple[tuple[Operator, float], ...] = (
    (on.comparison, 4.0),
    (on.boolean, 3.0),
    (on.neighbour, 3.0),
    (on.off_by_one, 2.5),
    (on.none_test, 2.0),
    (on.regroup, 2.0),
    (on.arithmetic, 2.0),
    (on.constant, 1.5),
    (on.bounds, 1.5),
    (on.swap, 1.5),
    (on.name, 1.5),
    (on.call_form, 1.0),
    (on.negate, 1.0),
    (on.copied, 1.0),
    (on.bounded, 0.7),
    (on.cleaned, 0.7),
    (on.of_two, 0.7),
    (without_condition, 0.7),
    (on.drop_part, 0.5),
    (statement, 0.5),
    (add_condition, 0.3),
    (guard, 0.5),
    (returned, 0.3),
)
"""What the agent can do, each with the weight of all its edits on one line together."""
