"""Which lines are suspicious: Ochiai's coefficient over the coverage of passing and failing tests."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from math import sqrt

from tts.demo.harness import Report

Line = tuple[str, int]
"""A file and a line number, from 1."""


def ochiai(report: Report) -> dict[Line, float]:
    """Return the suspiciousness, above 0 and up to 1, of every line that a failing test covers.

    Abreu, Zoeteweij and van Gemund, 2006: failing tests that cover the line, over the root of all
    failing tests times all tests that cover it.  Lines that run on import count as covered by every test.
    """
    failing = [_covered(outcome.lines) for outcome in report.outcomes if not outcome.passed]
    passing = [_covered(outcome.lines) for outcome in report.outcomes if outcome.passed]
    everywhere = _covered(report.imported)
    n_failing = Counter(line for lines in failing for line in lines | everywhere)
    n_passing = Counter(line for lines in passing for line in lines | everywhere)
    return {line: n / sqrt(len(failing) * (n + n_passing[line])) for line, n in n_failing.items()}


def _covered(lines: Mapping[str, Sequence[int]]) -> set[Line]:
    return {(file, number) for file, numbers in lines.items() for number in numbers}


def named_in(text: str) -> set[str]:
    """Return the identifiers that an issue text names as code: `like_this`, like_this or like_this()."""
    return set(re.findall(r"[A-Za-z_]\w{2,}(?=\()|(?<=`)[A-Za-z_]\w{2,}|\b[a-z]+_\w+", text))
