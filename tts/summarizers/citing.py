"""Statements that cite steps, and which of them captured evidence bears out.

A statement that claims captured evidence keeps its place only where it rests on a step that the harness
captured.  Steps that the model was not shown count as not named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import Field

from tts.hostile import line
from tts.summarizers.forms import Form
from tts.summarizers.runs import captured_run, passing
from tts.summarizers.shell import simple_commands, unwrapped
from tts.types import Step

MAX_CITED = 8
"""Steps that are named after a statement."""


class Statement(Form):
    """A sentence and the steps that it rests on."""

    text: str = Field(description="One sentence, at most 300 characters.")
    steps: list[int] = Field(description="Numbers of the steps that it rests on; empty if none.")


S = TypeVar("S", bound=Statement)


@dataclass(frozen=True, slots=True)
class Cited:
    """The steps that a record may cite: those that were shown, by number."""

    steps: Mapping[int, Step]

    def statement(self, item: S) -> S:
        """Return a statement without the steps that were not shown."""
        return item.model_copy(update={"steps": self.known(item.steps)})

    def known(self, steps: Iterable[int]) -> list[int]:
        """Return those of the steps that were shown, in order and once."""
        return sorted({number for number in steps if number in self.steps})

    def text(self, item: Statement) -> str:
        """Return a statement and its steps, each with how it ended."""
        known = self.known(item.steps)
        told = [f"step {n} {self._end(self.steps[n])}" for n in known[:MAX_CITED]]
        more = [f"{len(known) - MAX_CITED} more steps"] if len(known) > MAX_CITED else []
        note = f" ({', '.join([*told, *more])})" if told else ""
        return line(item.text, 400) + note if item.text.strip() else ""

    @staticmethod
    def _end(step: Step) -> str:
        return "not captured" if step.returncode is None else f"returned {step.returncode}"

    def shows(self, item: Statement, *, passing_tests: bool = False) -> bool:
        """Return whether a statement rests on a captured command that does more than print its own words.

        One that speaks of `passing_tests` has to rest on a recognized test command whose tests pass.
        """
        steps = ((n, self.steps[n]) for n in self.known(item.steps))
        return any(_ran_tests(n, s) if passing_tests else _evident(s) for n, s in steps)

    def split(self, items: Sequence[Statement], *, good_news: bool) -> tuple[list[str], list[str]]:
        """Return the statements that rest on captured steps, and the others; `good_news` may be of tests."""
        kept, others = list[str](), list[str]()
        for item in items:
            of_tests = good_news and speaks_of_passing_tests(item.text)
            (kept if self.shows(item, passing_tests=of_tests) else others).append(self.text(item))
        return kept, others


_PASSING_TESTS = re.compile(
    r"\b(?:tests?|suite)\b.{0,80}\b(?:pass|succe|green)|\bpass(?:ed|es|ing)?\b.{0,40}\b(?:tests?|suite)\b",
    re.IGNORECASE | re.DOTALL,
)
_NO_FAILURE = re.compile(r"\b(?:0|no|none|zero|without(?: any)?)\s+(?:fail|error)\w*", re.IGNORECASE)
_FAILURE = re.compile(r"\bfail|\berror|\bnot\b", re.IGNORECASE)


def speaks_of_passing_tests(text: str) -> bool:
    """Return whether a sentence says that tests pass, and none that some do not."""
    return bool(_PASSING_TESTS.search(text)) and not _FAILURE.search(_NO_FAILURE.sub("", text))


_PRINTERS = frozenset(("echo", "printf", "true", ":"))


def _evident(step: Step) -> bool:
    return step.returncode is not None and not _only(step.action, _PRINTERS)


def _ran_tests(number: int, step: Step) -> bool:
    """Whether a known test runner ran, and by its own words passed."""
    run = captured_run(number, step)
    return run is not None and passing(run)


def _only(action: str, names: frozenset[str]) -> bool:
    """Return whether a command line does nothing but call these, as `echo "all tests pass"` does."""
    if "$" in action or "`" in action:
        return False
    called = [(unwrapped(part.words) or ("",))[0] for part in simple_commands(action)]
    return bool(called) and all(name in names for name in called)
