"""How a short answer, plain or LaTeX, is written as LaTeX that math-verify reads aright."""

from __future__ import annotations

import re

LONGEST = 1000
"""In characters; what is longer is a text and no mathematical answer."""

_SYMBOLS = {
    **dict.fromkeys("\u2212\u2010\u2011", "-"),
    **dict.fromkeys("\u00b7\u22c5\u2219", "\\cdot "),
    **dict.fromkeys("\u00f7\u2215\u2044", "/"),
    **dict.fromkeys("\u00a0\u2009\u202f", " "),
    "\u00d7": "\\times ",
    "\u03c0": "\\pi ",
    "\u221e": "\\infty ",
    "\u00b0": "^\\circ ",
    "\u00b1": "\\pm ",
    "\u2205": "\\emptyset ",
    "\u2264": "\\le ",
    "\u2265": "\\ge ",
    "\u2260": "\\ne ",
    "\u222a": "\\cup ",
    "\u2229": "\\cap ",
    "\u2208": "\\in ",
    "\u00bd": "\\frac{1}{2}",
    "\u00bc": "\\frac{1}{4}",
    "\u00be": "\\frac{3}{4}",
}
_TRANSLATED = {ord(symbol): latex for symbol, latex in _SYMBOLS.items()}
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_WRAPPED = re.compile(
    r"\$\$(.*)\$\$|\$([^$]*)\$|\\\((.*)\\\)|\\\[(.*)\\\]|\*\*(.*)\*\*|\\(?:boxed|fbox|text|textbf|mathrm)\s?\{([^{}]*)\}"
    r"|\\(?:boxed|fbox)\s?\{(.*)\}",
    re.S,
)
_REWRITTEN = (  # In this order.
    (r"\\\$|\$", " "),
    (r"\*\*", "^"),
    (r"<=", r"\\le "),
    (r">=", r"\\ge "),
    (r"!=", r"\\ne "),
    (r"(?<=[0-9])(?:[ ~_]|\\[,; !])(?=[0-9]{3}(?![0-9]|\s?/))", ""),
    (r"(?<![0-9.])([0-9]{1,9}) ([0-9]{1,9})\s?/\s?([0-9]{1,9})(?![0-9])", r"(\1+\\frac{\2}{\3})"),
    (r"([0-9.])[eE]([+-]?[0-9]{1,4})(?!\w)", r"\1\\cdot 10^{\2}"),
    (r"(?<![\\A-Za-z])pi(?![A-Za-z])", r"\\pi "),
    (r"(?<![\\A-Za-z])((?:arc)?(?:sin|cos|tan)|log|ln|exp)(?![A-Za-z])", r"\\\1 "),
    (r"\u221a\s?([0-9.]+|[A-Za-z])", r"\\sqrt{\1}"),
    (r"(?:\u221a|(?<![\\A-Za-z])sqrt)\s?\(((?:[^()]|\([^()]*\))*)\)", r"\\sqrt{\1}"),
    (r"\s+", " "),
)
_PROSE = re.compile(r"[A-Za-z]+(?:[\s.,'!-]+[A-Za-z]+)*[.!?]*|.*[0-9] [0-9].*|.*[A-Za-z0-9)}\]]'.*", re.S)
_ATTACHED_UNITS = frozenset(
    ["mm", "cm", "dm", "km", "kg", "mg", "ml", "ft", "lb", "hr", "ms", "deg", "mph", "min"]
)
_LAST_LETTERS = re.compile(r"(?P<before>[0-9}]\s+|[0-9])?(?<![A-Za-z\\])(?P<letters>[a-z]{1,12})$")


def bare(answer: str) -> str:
    r"""Return the answer without what is around it, such as `$…$`, `\(…\)`, `\boxed{…}` and `\text{…}`."""
    inner = answer.strip()
    for _ in range(4):
        found = _WRAPPED.fullmatch(inner.removesuffix("."))
        if not found or not _one_piece(content := next(g for g in found.groups() if g is not None)):
            break
        inner = content.strip()
    return inner


def _one_piece(content: str) -> bool:
    """Whether it holds no second formula and closes no brace that was opened before it."""
    depth = 0
    for mark in re.finditer(r"\\.|[{}]", content, re.S):
        depth += {"{": 1, "}": -1}.get(mark[0], 0)
        if depth < 0 or mark[0] in ("\\)", "\\]"):
            return False
    return depth == 0 and "$" not in content.replace("\\$", "")


def as_latex(answer: str) -> str | None:
    r"""Return LaTeX for a mathematical answer; None for what is a text: of letters alone, or too long.

    Plain notation is rewritten: `**`, `<=`, `1 1/2`, `1 000`, `6e23`, `pi`, `√2`, `x²`. A last letter is kept
    from being read as a unit, as in `3t`, unless a space is before it: `3 t`.

    >>> as_latex("2**3"), as_latex("1 1/2"), as_latex("Paris")
    ('2^3', '(1+\\frac{1}{2})', None)
    """
    if len(answer) > LONGEST:
        return None
    latex = bare(answer).removesuffix(".")
    latex = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+", lambda m: f"^{{{m[0].translate(_RAISED)}}}", latex)
    latex = latex.translate(_TRANSLATED)
    for pattern, written in _REWRITTEN:
        latex = re.sub(pattern, written, latex)
    latex = latex.strip()
    if not latex or (_PROSE.fullmatch(latex) and not re.fullmatch("[A-Za-z]", latex)):
        return None
    return _LAST_LETTERS.sub(_kept, latex)


def _kept(last: re.Match[str]) -> str:
    before, letters = last["before"] or "", last["letters"]
    is_unit = before.endswith(" ") or (before and letters in _ATTACHED_UNITS)
    return last[0] if is_unit else f"{before}{letters[:-1]}{{{letters[-1]}}}"
