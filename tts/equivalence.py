"""When two outputs are the same: exact, text, number, math or patch."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

from tts.diffs import FileDiff, Hunk, parse_patch
from tts.errors import UsageError
from tts.mathematics import as_latex, bare, needed, verified

Equivalence = Callable[[str, str], bool]
"""Says whether two outputs are the same. It should be reflexive and symmetric."""


@dataclass(frozen=True, slots=True)
class Canonical:
    """An equivalence by canonical form: two outputs are the same when their forms are equal."""

    form: Callable[[str], Hashable]

    def __call__(self, a: str, b: str) -> bool:
        return a == b or self.form(a) == self.form(b)


@dataclass(frozen=True, slots=True)
class Near:
    """Numeric equality within `relative` (a fraction of the larger); as text where one is no number.

    Two whole numbers written out in full are the same only when they are equal. A tolerance is not
    transitive: of three numbers in a row the outer two may differ.
    """

    relative: float = 1e-9

    def __call__(self, a: str, b: str) -> bool:
        x, y = parse_number(a), parse_number(b)
        if x is None or y is None:
            return a == b or text_form(a) == text_form(b)
        if isinstance(x, int) and isinstance(y, int):
            return x == y
        return math.isclose(x, y, rel_tol=self.relative)


def mathematical(a: str, b: str) -> bool:
    r"""Return whether two answers are equal mathematically, plain or LaTeX; else as numbers or texts.

    Answers are compared whole, `$…$`, `\boxed{…}` and the like around them aside. Numbers written out are
    compared here; the rest is asked of math-verify, in a process of its own. What it cannot read, or not
    compare in 3 seconds, is equal only as a number or text. It drops units (`5 cm` is `5`, and so is `5 m`)
    and takes `9%` for 9 as well as for 0.09, so this is not transitive.

    Raises:
        UsageError: math-verify is not installed or does not start.
    """
    if a == b or number(a, b):
        return True
    x, y = bare(a), bare(b)
    if number(x, y):
        return True
    if _apart(x, y):
        return False
    p, q = as_latex(x), as_latex(y)
    return p is not None and q is not None and verified(p, q)


_ROUNDED = 1e-5
"""Relative: math-verify takes 0.333333 for 1/3; numbers further apart than this are not asked about."""


def _apart(a: str, b: str) -> bool:
    x, y = parse_number(a), parse_number(b)
    if x is None or y is None or "%" in a + b:
        return False
    whole = isinstance(x, int) and isinstance(y, int)
    return x != y if whole else not math.isclose(x, y, rel_tol=_ROUNDED)


def equivalence(name: str) -> Equivalence:
    """Return the built-in equivalence of that name.

    Raises:
        UsageError: there is none, and the message names the choices; or it needs what is not installed.
    """
    if name not in _BUILT_IN:
        raise UsageError(f"no equivalence is called {name!r}; the choices are {', '.join(_BUILT_IN)}")
    if name == "math":
        needed()
    return _BUILT_IN[name]


def classes(outputs: Sequence[str | None], same: Equivalence | str) -> list[int | None]:
    """Return each output's class number, counted from 0 in the order first seen; None where it abstains.

    An output that is None or blank abstains. Where `same` is not transitive, an output joins the first
    class whose first member is the same as it. Takes time in the order of the outputs for canonical
    equivalences, and of outputs times classes for others.
    """
    same = equivalence(same) if isinstance(same, str) else same
    assign = _by_form(same.form) if isinstance(same, Canonical) else _by_comparison(same)
    known: dict[str, int] = {}
    found: list[int | None] = []
    for output in outputs:
        if output is None or not output.strip():
            found.append(None)
            continue
        if output not in known:
            known[output] = assign(output)
        found.append(known[output])
    return found


def _by_form(form: Callable[[str], Hashable]) -> Callable[[str], int]:
    numbers: dict[Hashable, int] = {}
    return lambda output: numbers.setdefault(form(output), len(numbers))


def _by_comparison(same: Equivalence) -> Callable[[str], int]:
    firsts: list[str] = []

    def assign(output: str) -> int:
        for number, first in enumerate(firsts):
            if same(first, output):
                return number
        firsts.append(output)
        return len(firsts) - 1

    return assign


_EDGES = " .,;:!?\"'`*_\u201c\u201d\u2018\u2019\u00ab\u00bb\u2026"
_LONE_IN_BRACKETS = re.compile(r"\((\w+)\)|\[(\w+)\]|\{(\w+)\}")
_RAISED = {"<super>": "^", "<sub>": "_", "<fraction>": " "}


def text_form(output: str) -> str:
    """Return the text in Unicode NFKC, case folded, white space collapsed, surrounding punctuation off.

    What changes the meaning stays: a sign, the point of `.5`, the `!` of `5!`, the brackets of an
    interval; raised and lowered characters stay apart from plain ones.
    """
    words = " ".join(_compatible(output).casefold().split())
    return _stripped(unicodedata.normalize("NFKC", words)) or words


def _compatible(output: str) -> str:
    if output.isascii():
        return output
    apart = (_RAISED.get(unicodedata.decomposition(c).partition(" ")[0], "") + c for c in output)
    return unicodedata.normalize("NFKC", "".join(apart)).replace("\u2044", "/").replace("\u2212", "-")


def _stripped(words: str) -> str:
    core = words.strip(_EDGES)
    start = words.find(core)
    if core[:1].isdigit() and words[:start].endswith("."):
        core = "." + core
    if core[-1:].isdigit() and words[start:].partition(core.lstrip("."))[2].startswith("!"):
        core += "!"
    lone = _LONE_IN_BRACKETS.fullmatch(core)
    return next(g for g in lone.groups() if g is not None) if lone else core


_DECIMAL = r"(?:\d+|\d{1,3}(?:,\d{3})+|\d{1,3}(?:_\d{3})+|\d{1,3}(?:'\d{3})+|\d{1,3}(?: \d{3})+)?(?:\.\d*)?"
_VALUE = re.compile(rf"({_DECIMAL}(?:e[+-]?\d{{1,4}})?)(?:\s*/\s*({_DECIMAL}))?\s*(%)?", re.ASCII)
_MIXED = re.compile(r"(\d+) (\d+)\s*/\s*(\d+)", re.ASCII)


def parse_number(output: str) -> int | float | None:
    """Return the number that the whole output is, None where it is none.

    Reads signs, decimals, exponents, thousands separators (comma, space, underscore, apostrophe),
    fractions (`3/4`, `1 1/2`) and per cent (`5%` is 0.05). Units and currencies are not guessed. What
    a float cannot hold, too large or too near zero, is no number.
    """
    words = text_form(output)
    sign = -1 if words.startswith("-") else 1
    value = _unsigned(words.removeprefix("-" if sign < 0 else "+").lstrip())
    return None if value is None else sign * value


def _unsigned(words: str) -> int | float | None:
    if mixed := _MIXED.fullmatch(words):
        whole, top, bottom = (_decimal(part) for part in mixed.groups())
        rest = _ratio(top, bottom)
        return None if whole is None or rest is None else whole + rest
    match = _VALUE.fullmatch(words)
    if match is None:
        return None
    value = _decimal(match[1])
    if match[2] is not None:
        value = _ratio(value, _decimal(match[2]))
    return value / 100 if value is not None and match[3] else value


def _decimal(digits: str) -> int | float | None:
    plain = re.sub(r"[,_' ]", "", digits)
    mantissa = plain.partition("e")[0]
    if not any(c.isdigit() for c in mantissa):
        return None
    value = float(plain)
    lost = value == 0 and any(c in "123456789" for c in mantissa)
    if lost or not math.isfinite(value):
        return None
    return int(plain) if plain.isdigit() else value


def _ratio(top: int | float | None, bottom: int | float | None) -> float | None:
    if top is None or not bottom:
        return None
    value = float(top) / float(bottom)
    return value if math.isfinite(value) else None


def patch_form(output: str) -> Hashable:
    """Return a patch as the set of what it removes and adds per file; a text that is no diff as itself.

    Index lines, hunk offsets and context are left out, so the same lines changed at two places of one
    file count as the same. In Python files comments, blank lines and white space inside a line are
    normalized too, but not where a hunk shows a triple quote: there a `#` may be text.
    """
    files = parse_patch(output)
    if not files:
        return output.strip()
    forms = ((file.path, frozenset(file.notes), *_changed(file)) for file in files)
    return frozenset(form for form in forms if any(form[1:]))


def _changed(file: FileDiff) -> tuple[tuple[str, ...], tuple[str, ...]]:
    removed: list[str] = []
    added: list[str] = []
    for hunk in file.hunks:
        line_form = _line_form_for(file.path, hunk)
        for minus, plus in _blocks(hunk):
            before = [form for line in minus if (form := line_form(line))]
            after = [form for line in plus if (form := line_form(line))]
            if before != after:
                removed += before
                added += after
    return tuple(removed), tuple(added)


def _blocks(hunk: Hunk) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the removed and the added lines of each unbroken run of changes."""
    sides: dict[str, list[str]] = {"-": [], "+": []}
    for line in (*hunk.lines, " "):
        if line[0] in sides:
            sides[line[0]].append(line[1:])
        elif any(sides.values()):
            yield sides["-"], sides["+"]
            sides = {"-": [], "+": []}


def _line_form_for(path: str, hunk: Hunk) -> Callable[[str], str]:
    quoted = any('"""' in line or "'''" in line for line in hunk.lines)
    return _python_line if path.endswith((".py", ".pyi")) and not quoted else str.rstrip


_PYTHON_TOKEN = re.compile(
    r"""(?P<comment>\#(?=[\s!:\#]|$).*)|(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<word>\w+)|(?P<space>\s+)|."""
)


_LONGEST_TOKENIZED = 1000
"""In characters: a hostile line could hold the scanner up for a time quadratic in its length."""


def _python_line(line: str) -> str:
    """Return the indentation and the tokens; a `#` that no space follows may be text, and stays."""
    if len(line) > _LONGEST_TOKENIZED:
        return line.rstrip()
    code = line.lstrip()
    indent = " " * len(line[: len(line) - len(code)].expandtabs(8))
    tokens = [m[0] for m in _PYTHON_TOKEN.finditer(code) if m.lastgroup not in ("comment", "space")]
    return indent + "\x00".join(tokens) if tokens else ""


exact = Canonical(str)
"""Equal character for character."""
text = Canonical(text_form)
"""Equal but for Unicode form, case, white space and surrounding punctuation."""
number = Near()
"""Numerically equal; as text where one is no number."""
patch = Canonical(patch_form)
"""The same changes to the same files."""

_BUILT_IN: dict[str, Equivalence] = {
    "exact": exact,
    "text": text,
    "number": number,
    "math": mathematical,
    "patch": patch,
}
