"""How an answer is taken out of a model's text: whole, boxed, a number, a choice, a JSON field, a regex."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, cast

from tts.agents.function import fingerprint_of
from tts.equivalence import parse_number
from tts.errors import UsageError

Extraction: TypeAlias = Callable[[str], str | None]
"""Takes the answer out of a text; None where there is none."""

CHOICES = "text, boxed, number, choice, choice:ABCD, json:FIELD and regex:PATTERN"
SEARCHED = 100_000
"""Characters at the end of a text that a regex of the user's is run on."""
LETTERS = "ABCDEFGHIJ"


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """A way to take an answer out of a model's text.

    `name` is its identity for fingerprints. The ways of this module take time linear in the text.
    """

    name: str
    extraction: Extraction

    def __call__(self, text: str) -> str | None:
        """Return the answer without white space around it; None where none is found or it is blank."""
        return (self.extraction(text) or "").strip() or None


def answer_form(given: str | Extraction | AnswerForm, version: str = "") -> AnswerForm:
    r"""Return the form that a specification names, or that a function of a text is.

    text            all of it
    boxed           what the last \boxed{…} or \fbox{…} holds
    number          the last number: 1,234.5  -3  2/3  1 1/2  50%  6e23  \frac{2}{3}
    choice          a letter from A to J, of the last statement such as "the answer is (C)", else of the last
                    **C**, else the last that stands alone on a line or in parentheses; a capital
    choice:ABCD     the same of these letters only
    json:FIELD      a field of the last JSON object that has it; `a.b` is field b of the object in field a.
                    Texts as they are, null is no answer, other values as JSON with sorted keys
    regex:PATTERN   the first group of the last match, or all of it; the last 100,000 characters are searched

    A function's identity is its source, or `version` where one is given.

    Raises:
        UsageError: there is no such form, or it cannot be read.

    >>> answer_form("boxed")(r"so $x = \boxed{\frac{1}{2}}$.")
    '\\frac{1}{2}'
    """
    if isinstance(given, AnswerForm):
        return given
    if not isinstance(given, str):
        return AnswerForm(f"answer:{fingerprint_of(given, version)}", given)
    way, colon, rest = given.partition(":")
    if colon and rest and way in _WITH:
        return AnswerForm(given, _WITH[way](rest))
    if not colon and way in _ALONE:
        return AnswerForm(given, _ALONE[way])
    raise UsageError(f"there is no form of answer {given!r}; the choices are {CHOICES}")


# Boxed

_BRACES = re.compile(r"(?P<box>\\{1,2}(?:boxed|fbox)(?![A-Za-z])(?P<open>\s{0,9}\{)?)|\\.|[{}]", re.S)
_BARE = re.compile(r"[ \t]{0,9}([^\s$]{1,80})")


def boxed(text: str) -> str | None:
    r"""Return what the last closed \boxed{…} or \fbox{…} holds, or the word after one without braces."""
    start, end = max(_boxes(text), default=(0, 0))
    return text[start:end] or None


def _boxes(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the content of each box starts and ends."""
    opened: list[tuple[int, bool]] = []
    for token in _BRACES.finditer(text):
        if token["open"] or token[0] == "{":
            opened.append((token.end(), bool(token["open"])))
        elif token["box"]:
            yield from _bare(text, token.end())
        elif token[0] == "}" and opened:
            start, is_box = opened.pop()
            if is_box:
                yield start, token.start()


def _bare(text: str, at: int) -> Iterator[tuple[int, int]]:
    found = _BARE.match(text, at)
    word = found[1].rstrip(".,;:") if found else ""
    if found and word and balanced(word):
        yield found.start(1), found.start(1) + len(word)


def balanced(latex: str) -> bool:
    """Return whether each brace that is not escaped has its partner."""
    depth = 0
    for token in re.finditer(r"\\.|[{}]", latex, re.S):
        depth += {"{": 1, "}": -1}.get(token[0], 0)
        if depth < 0:
            return False
    return depth == 0


# Number

_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)"
_NUMBER = re.compile(
    rf"""
    (?<!\w)(?<![0-9]\.)
    (?P<sign>(?<![\w)\]}}])[-+\u2212])? (?:\\?\$)?
    (?: \\[dt]?frac\s?\{{(?P<top>-?[0-9]+)\}}\s?\{{(?P<bottom>[0-9]+)\}}
      | (?P<value> [0-9]{{1,3}}[ ][0-9]{{1,3}}/[0-9]{{1,3}}(?![\w/])
        | (?:{_DIGITS}(?:\.[0-9]+)?|(?<!\.)\.[0-9]+)
          (?: [eE][-+]?[0-9]{{1,4}}(?!\w) | [ ]?/[ ]?{_DIGITS}(?:\.[0-9]+)?(?![0-9/]) )?
      )
    )
    (?!(?:st|nd|rd|th)\b)
    (?P<percent>\s?\\?%)?
    """,
    re.X,
)
_TRIED = 100


def number(text: str) -> str | None:
    """Return the last number of the text; `tts.equivalence.parse_number` reads it.

    A digit after a letter (`H2O`) and an ordinal (`3rd`) are none; the number of `25cm` is.
    """
    plain = text.replace("{,}", ",").replace("\\!", "")
    last = deque(_NUMBER.finditer(plain), maxlen=_TRIED)
    return next((n for match in reversed(last) if parse_number(n := _written(match)) is not None), None)


def _written(match: re.Match[str]) -> str:
    value = match["value"] or f"{match['top']}/{match['bottom']}"
    sign = match["sign"] or ""
    if sign and value.startswith("-"):
        sign, value = ("-" if sign == "+" else ""), value[1:]
    return sign + value + ("%" if match["percent"] else "")


# Choice

_FILLER = (
    r"(?:[\s*_:=>`\"'$\[{(\u201c\u2018-]|\\(?:text|textbf|mathrm|mathbf|boxed)\b"
    r"|\b(?i:is|are|be|would|should|must|therefore|thus|hence|clearly|indeed|definitely|probably|most|likely"
    r"|the|correct|final|best|answer|option|choice|letter)\b)"
)
_STATEMENT = (
    r"(?<!/)\b(?i:answer|(?:correct|right|best) (?:option|choice|letter)|choose|pick|select|go with)\b"
    + _FILLER
    + r"{1,16}"
)
_NOT_A_WORD = r"(?!(?<=[AI])[ \t]+(?!because\b|since\b|as\b|and\b|for\b|with\b|which\b)[a-z])"
"""After a bare A or I, which may be a word of English: `the answer is A good one`."""
_IN_A_BOX = r"(?:\\[a-z]{2,8}\s?\{|[\s($])*+([%s])(?:[\s)}$]*|[.:)].*)"
_LONGEST_BOX = 500


def choice(text: str, letters: str = LETTERS) -> str | None:
    """Return the letter that the text chooses, a capital."""
    upper, lower = f"[{letters}]", f"[{letters.lower()}]"
    either = f"[{letters}{letters.lower()}]"
    bare = rf"(?<!\w){upper}(?![\w'\u2019-]){_NOT_A_WORD}"
    small = rf"(?<=\(){lower}(?=\))|(?<![\w']){lower}(?=[ \t.*]{{0,4}}$)"
    right = rf"\b(?i:option|choice|answer) \(?({upper})\)? is (?:the )?(?:correct|right|best)\b"
    ways = (
        rf"{_STATEMENT}({bare}|{small})|{right}",
        rf"\*\*\(?({upper})(?:[).:]|(?=\*\*))",
        rf"(?:^[^\w\n]{{0,9}}|\()({either})(?:(?<=\({either})\)|(?=[^\w\n]{{0,9}}$))",
    )
    found = _boxed_letters(text, _IN_A_BOX % either[1:-1])
    for way in ways:
        found += [(m.end(), m[m.lastindex or 0]) for m in re.finditer(way, text, re.M)]
        if found:
            return max(found)[1].upper()
    return None


def _boxed_letters(text: str, inside: str) -> list[tuple[int, str]]:
    short = ((start, text[start:end]) for start, end in _boxes(text) if end - start <= _LONGEST_BOX)
    return [(start, m[1]) for start, box in short if (m := re.fullmatch(inside, box, re.S))]


def _choice_of(letters: str) -> Extraction:
    if not (letters.isascii() and letters.isalpha() and len(set(letters.upper())) == len(letters)):
        raise UsageError(
            f"choice:{letters} is no set of letters: write it as in choice:ABCD, each letter once"
        )
    return partial(choice, letters=letters.upper())


# JSON

_OBJECT = re.compile(r'\{\s*["}]')
_DECODER = json.JSONDecoder()
_WINDOW = 64
_WASTE = 16
"""How often the text's length may be read in vain, where a hostile text opens objects and closes none."""


def json_field(text: str, path: str) -> str | None:
    """Return the field of the last outermost JSON object that has it; null and a blank text are none."""
    names = path.split(".")
    fields = [value for found in _objects(text) if (value := _at(found, names)) is not None]
    if not fields:
        return None
    return _json_text(fields[-1]).encode(errors="replace").decode()


def _json_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _objects(text: str) -> Iterator[Any]:
    """Yield the objects that lie in no other one."""
    wasted, start = 0, _OBJECT.search(text)
    while start and wasted <= _WASTE * len(text):
        found, read = _decoded(text, start.start())
        if found is not None:
            yield found
        elif read > _WINDOW:
            wasted += read
        start = _OBJECT.search(text, start.start() + (1 if found is None else read))


def _decoded(text: str, at: int) -> tuple[Any, int]:
    """Return the object that starts there, or None, and how many characters were read.

    A growing part of the text is decoded: an error of `json` takes time for all that lies before it.
    """
    window = _WINDOW
    while True:
        part = text[at : at + window]
        try:
            return _DECODER.raw_decode(part)
        except json.JSONDecodeError as error:
            cut = error.pos >= len(part) - 12 or error.msg.startswith("Unterminated")
            if not cut or at + window >= len(text):
                return None, len(part)
        except (ValueError, RecursionError):  # A whole number of too many digits; objects too deep.
            return None, len(part)
        window *= 4


def _at(value: Any, names: list[str]) -> Any:
    for name in names:
        value = cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None
    return value


def _json_of(path: str) -> Extraction:
    if not all(path.split(".")):
        raise UsageError(
            f"json:{path} names an empty field: write it as in json:answer or json:result.answer"
        )
    return partial(json_field, path=path)


# Regex


def last_match(text: str, pattern: re.Pattern[str]) -> str | None:
    """Return the first group of the last match near the end of the text, or all of it without groups."""
    last = deque(pattern.finditer(text[-SEARCHED:]), maxlen=1)
    return next((match[min(1, pattern.groups)] for match in last), None)


def _regex_of(pattern: str) -> Extraction:
    try:
        return partial(last_match, pattern=re.compile(pattern))
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(f"regex:{pattern} is no regular expression: {error}") from None


def _whole(text: str) -> str:
    return text


_ALONE: dict[str, Extraction] = {"text": _whole, "boxed": boxed, "number": number, "choice": choice}
_WITH: dict[str, Callable[[str], Extraction]] = {"choice": _choice_of, "json": _json_of, "regex": _regex_of}
