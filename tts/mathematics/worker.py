"""The program of the process that runs math-verify: a line with two answers in, true or false out.

It is run by its path and imports nothing of tts.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from typing import Any

MEMORY_BYTES = 2**31
SPARE_SECONDS = 2.0
"""After its time a process that nobody kills ends by itself: its parent is gone."""

_RELATIVE, _NOTHING = 1e-5, 1e-90
_COMMANDS = re.compile(r"\\(?:text|mathrm|operatorname|begin|end)\s?\{[^{}]*\}|\\[A-Za-z]+|sqrt")
_PROSE = re.compile(r"[A-Za-z]{4}|[A-Za-z]{2}\s+[A-Za-z]{2}")


class Reader:
    """Reads LaTeX and compares what it read."""

    def __init__(self) -> None:
        self._verify: Any = import_module("math_verify")
        self._grader: Any = import_module("math_verify.grader")
        self._sympy: Any = import_module("sympy")
        self._latex = [self._verify.LatexExtractionConfig()]
        self.read = lru_cache(maxsize=1024)(self._read)

    def same(self, first: str, second: str) -> bool:
        """Return whether math-verify finds them equal.

        Its `verify(gold, target)` is not symmetric for relations, sets and tuples: it is asked both ways.
        One yes is enough where the answers differ in form only, as `x=3` and `3` do. Not so for an
        equation that is more than an assignment beside a value, for math-verify takes `2x+z=1` for its
        right-hand side; nor for a tuple beside a set, for it forgets the order one way. Two constants must
        also be near each other relative to their size, for it rounds to six decimals.
        """
        (a, said_a), (b, said_b) = self.read(first), self.read(second)
        if a is None or b is None:
            return said_a == said_b
        near = "%" in said_a + said_b or self._near(a, b)
        if not near or self._unlike(a, b) or self._unlike(b, a):
            return False
        if self._plain(a) and self._plain(b):
            return self._one_way(a, b)
        if self._ordered_beside_set(a, b) or self._ordered_beside_set(b, a):
            return self._one_way(a, b) and self._one_way(b, a)
        return self._one_way(a, b) or self._one_way(b, a)

    def _read(self, latex: str) -> tuple[Any, str]:
        """Return the expression, None where there is none, and the normalized LaTeX.

        A sum such as `4+9 = 13` stands for its last side; as equations all true ones would be the same.
        """
        found = self._verify.parse(f"${latex}$", self._latex, parsing_timeout=None)
        said = next((part for part in reversed(found) if isinstance(part, str)), latex)
        if not found or isinstance(found[0], str) or is_prose(said):
            return None, said
        grader, expression = self._grader, found[0]
        if grader.is_equation(expression) and not grader.take_first_relation(expression).lhs.free_symbols:
            expression = grader.take_last_relation(expression).rhs
        return expression, said

    def _one_way(self, gold: Any, target: Any) -> bool:
        return bool(self._verify.verify(gold, target, timeout_seconds=None))

    def _plain(self, a: Any) -> bool:
        """Whether it is neither relation nor set nor tuple: for these the direction makes a difference."""
        return not (self._grader.is_relation(a) or isinstance(a, (self._sympy.Set, self._sympy.Tuple)))

    def _unlike(self, a: Any, b: Any) -> bool:
        """Whether the first is an equation that is no assignment, and the second no relation."""
        grader = self._grader
        return bool(
            grader.is_equation(a) and not grader.is_assignment_relation(a) and not grader.is_relation(b)
        )

    def _ordered_beside_set(self, a: Any, b: Any) -> bool:
        ordered, finite = (self._sympy.Tuple, self._sympy.Interval), self._sympy.FiniteSet
        return isinstance(a, ordered) and isinstance(b, finite)

    def _near(self, a: Any, b: Any) -> bool:
        if not getattr(a, "is_number", False) or not getattr(b, "is_number", False):
            return True
        try:
            x, y = complex(a.evalf()), complex(b.evalf())
            return abs(x - y) <= max(_NOTHING, _RELATIVE * max(abs(x), abs(y)))
        except (TypeError, ValueError, ArithmeticError):
            return True


def is_prose(latex: str) -> bool:
    """Return whether words stand in it, which math-verify would read as products of their letters."""
    return bool(_PROSE.search(_COMMANDS.sub(" 0 ", latex)))


def _bounded() -> None:
    """Take no more memory than is due; leave Ctrl-C to the parent."""
    with suppress(ImportError, ValueError, OSError):
        resource: Any = import_module("resource")
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _alarm(seconds: float) -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def main(seconds: float) -> None:
    """Answer until there are no more lines. What the libraries print goes nowhere."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    _bounded()
    logging.disable(logging.CRITICAL)
    try:
        reader = Reader()
    except ImportError as error:
        print(error, file=answers, flush=True)
        return
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        _alarm(seconds + SPARE_SECONDS)
        print(_answer(reader, line), file=answers, flush=True)
        _alarm(0)


def _answer(reader: Reader, line: str) -> str:
    try:
        return json.dumps(reader.same(*json.loads(line)))
    except MemoryError:
        os._exit(1)
    except Exception:  # noqa: BLE001  What the libraries cannot compare is not found equal.
        return "false"


if __name__ == "__main__":
    main(float(sys.argv[1]))
