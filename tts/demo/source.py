"""A parsed Python file, and each of its nodes with what an edit needs to know of its surroundings."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import cast

Span = tuple[int, int, str]
"""Start and end in bytes, and the new text."""


class Site:
    """One node with what an operator needs to know of its surroundings."""

    def __init__(self, module: Module, node: ast.AST, parents: Sequence[ast.AST]) -> None:
        self.module = module
        self.node = node
        self.parents = parents
        self.function = next((p for p in reversed(parents) if isinstance(p, ast.FunctionDef)), None)

    @property
    def parent(self) -> ast.AST:
        """The node that holds this one."""
        return self.parents[-1]

    def text(self, node: ast.AST) -> str:
        """Return the node's source text."""
        start, end = self.module.span(node)
        return self.module.source[start:end].decode()

    def put(self, node: ast.AST, text: str) -> Span:
        """Return the replacement of the whole node by `text`."""
        return (*self.module.span(node), text)

    def between(self, left: ast.AST, right: ast.AST, old: str, new: str) -> Iterator[Span]:
        """Yield the replacement of the sign `old` that stands between two nodes."""
        start, end = self.module.span(left)[1], self.module.span(right)[0]
        gap = self.module.source[start:end].decode()
        at = gap.find(old)
        if at >= 0:
            first = start + len(gap[:at].encode())
            yield (first, first + len(old.encode()), new)

    def texts(self) -> list[str]:
        """Return the other string constants of the function."""
        return self.module.constants(self.function or self.module.tree)[1]

    def numbers(self) -> list[int | float]:
        """Return the numbers of the function."""
        return self.module.constants(self.function or self.module.tree)[0]

    def attributes(self, owner: str) -> list[str]:
        """Return the attributes that the class, or the function, reads of the same object."""
        within = next((p for p in self.parents if isinstance(p, ast.ClassDef)), self.function)
        return self.module.attributes(within, owner) if within else []

    def is_collection(self, node: ast.AST) -> bool:
        """Return whether the node is a variable that the function treats as a collection or a text."""
        known = self.module.collections(self.function) if self.function else set[str]()
        return isinstance(node, ast.Name) and node.id in known

    def names(self) -> list[str]:
        """Variables of the function, in the order of their first appearance."""
        return self.module.variables(self.function) if self.function else []


class Module:
    """A parsed file."""

    def __init__(self, file: str, source: bytes) -> None:
        self.file = file
        self.source = source
        self.tree = ast.parse(source)
        self._constants: dict[ast.AST, tuple[list[int | float], list[str]]] = {}
        self._collections: dict[ast.AST, set[str]] = {}
        self._variables: dict[ast.AST, list[str]] = {}
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Return the node's first byte and the byte behind its last."""
        return self.at(node.lineno, node.col_offset), self.at(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]

    def at(self, line: int, column: int) -> int:
        """Return the offset of a line (from 1) and column (bytes, from 0)."""
        return self._starts[line - 1] + column

    def place(self, offset: int) -> tuple[int, int]:
        """Return the line and column, both from 1, of an offset."""
        line = next(i for i in range(len(self._starts), 0, -1) if self._starts[i - 1] <= offset)
        return line, offset - self._starts[line - 1] + 1

    def variables(self, function: ast.FunctionDef) -> list[str]:
        """Return the function's parameters and assigned names."""
        if function not in self._variables:
            arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
            names = [a.arg for a in arguments if a.arg not in ("self", "cls")]
            stored = (
                n for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            )
            self._variables[function] = list(dict.fromkeys([*names, *(n.id for n in stored)]))
        return self._variables[function]

    def collections(self, function: ast.FunctionDef) -> set[str]:
        """Return the variables that the function treats as collections or texts, never as numbers."""
        if function not in self._collections:
            nodes = list(ast.walk(function))
            self._collections[function] = {name for node in nodes for name in _treated_as_collection(node)}
        return self._collections[function]

    def constants(self, within: ast.AST) -> tuple[list[int | float], list[str]]:
        """Return the numbers and the short texts that stand in a node, in their order."""
        if within not in self._constants:
            values = [n.value for n in ast.walk(within) if isinstance(n, ast.Constant)]
            numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
            texts = [v for v in values if isinstance(v, str) and len(v) < 20]
            self._constants[within] = (list(dict.fromkeys(numbers)), list(dict.fromkeys(texts)))
        return self._constants[within]

    def attributes(self, within: ast.AST, owner: str) -> list[str]:
        """Return the attributes of the variable `owner` that a node names, in their order."""
        reads = (
            n for n in ast.walk(within) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)
        )
        return list(
            dict.fromkeys(n.attr for n in reads if isinstance(n.value, ast.Name) and n.value.id == owner)
        )

    def sites(self) -> Iterator[Site]:
        """Yield every node below the module with its parents."""
        stack: list[tuple[ast.AST, tuple[ast.AST, ...]]] = [(self.tree, ())]
        while stack:
            node, parents = stack.pop()
            if parents and not is_docstring(parents[-1]):
                yield Site(self, node, parents)
            stack.extend((child, (*parents, node)) for child in ast.iter_child_nodes(node))


_MAKERS = frozenset(
    ("list", "dict", "set", "tuple", "sorted", "reversed", "str", "deque", "split", "splitlines")
)
_LITERALS = (ast.List, ast.Dict, ast.Set, ast.Tuple, ast.ListComp, ast.DictComp, ast.SetComp, ast.JoinedStr)


def _treated_as_collection(node: ast.AST) -> Iterator[str]:
    """The variables that a node iterates, indexes, measures, asks an attribute of, or fills with items."""
    used: list[ast.expr | None] = []
    if isinstance(node, (ast.For, ast.comprehension)):
        used = [node.iter]
    elif isinstance(node, (ast.Subscript, ast.Attribute)):
        used = [node.value]
    elif isinstance(node, ast.Compare) and isinstance(node.ops[-1], (ast.In, ast.NotIn)):
        used = [node.comparators[-1]]
    elif isinstance(node, ast.Call) and called(node) in (*_MAKERS, "len", "join"):
        used = [*node.args]
    elif isinstance(node, (ast.Assign, ast.AnnAssign)) and _is_collection(node.value):
        used = [*node.targets] if isinstance(node, ast.Assign) else [node.target]
    yield from (target.id for target in used if isinstance(target, ast.Name))


def _is_collection(value: ast.expr | None) -> bool:
    is_text = isinstance(value, ast.Constant) and isinstance(value.value, str)
    return (
        is_text or isinstance(value, _LITERALS) or (isinstance(value, ast.Call) and called(value) in _MAKERS)
    )


def called(call: ast.Call) -> str:
    """Return the name of the function or method that is called, empty where it has none."""
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def is_docstring(node: ast.AST) -> bool:
    """Return whether the statement is only a constant."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def blocks(node: ast.AST) -> list[list[ast.stmt]]:
    """Return the node's lists of statements."""
    found = (getattr(node, name, None) for name in ("body", "orelse", "finalbody"))
    return [cast("list[ast.stmt]", block) for block in found if isinstance(block, list)]
