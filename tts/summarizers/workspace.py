"""The workspace that a model distils from several drafts: the form, and how it becomes a summary.

Source: Madaan et al. 2025, arXiv 2510.01123, the global summary; the form is ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import Field

from tts.hostile import fitting, size_of
from tts.summarizers.forms import Form
from tts.types import Summary

HEADINGS_BYTES = 400
"""What the headings of a rendered workspace and the note on what does not fit take at most."""


class Finding(Form):
    """A sentence about some drafts."""

    text: str = Field(description="One or two sentences.")
    drafts: list[int] = Field(description="Numbers of the drafts that it is about.")


class Result(Finding):
    """An intermediate result, and what it rests on."""

    checked: str = Field(description="How it was checked; empty if nobody checked it.")


class Workspace(Form):
    """What several drafts come to."""

    agreements: list[Finding] = Field(
        description="What drafts reach or assume alike, and whether by different ways or by the same one."
    )
    contradictions: list[Finding] = Field(
        description="Where drafts contradict one another: each side, the step at which they part, and what "
        "would decide it."
    )
    results: list[Result] = Field(description="Intermediate results worth keeping, with exact values.")
    mistakes: list[Finding] = Field(description="Mistakes found: what is wrong, why, and what holds instead.")
    open_questions: list[str] = Field(description="What nobody settled and the answer depends on.")
    answer: str = Field(
        description="The answer, in the form that the task wants, if well supported; else empty."
    )
    support: str = Field(description="What the answer rests on, or why there is none.")


@dataclass(slots=True)
class _Page:
    """Entries by list of the summary, as far as there is room for them in bytes."""

    room: int
    lists: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    n_left_out: int = 0

    def add(self, name: str, text: str) -> None:
        """Add an entry; one that takes more than half of what is left is cut, one without room left out."""
        shown, _ = fitting(text, self.room // 2)
        size = size_of(shown) + 4 + 2 * shown.count("\n")
        if not shown or size > self.room:
            self.n_left_out += 1
            return
        self.room -= size
        self.lists.setdefault(name, []).append(shown)


def workspace_summary(made: Workspace, n_drafts: int, size: int) -> Summary:
    """Return the workspace as a summary that renders in at most `size` bytes, with notes on what is cut.

    Nothing of it counts as captured.
    """
    page = _Page(max(0, size - HEADINGS_BYTES))
    for name, text in _entries(made, n_drafts):
        page.add(name, text)
    ends = page.lists.pop("final_state", [])
    if page.n_left_out:
        ends.append(f"[{page.n_left_out} more entries do not fit]")
    lists: dict[str, Any] = {name: tuple(dict.fromkeys(texts)) for name, texts in page.lists.items()}
    return replace(Summary(final_state="\n".join(ends)), **lists)


def _entries(made: Workspace, n: int) -> Iterator[tuple[str, str]]:
    """Yield the entries with the names of their lists in a summary, what matters most first."""
    answer, support = made.answer.strip(), made.support.strip()
    if answer:
        yield "final_state", f"candidate answer, to be checked: {answer}"
    else:
        yield "final_state", "no candidate answer is well supported"
    if support:
        yield "final_state", f"support: {support}"
    for finding in made.contradictions:
        yield from _told("unverified", "contradiction", finding, n)
    for finding in made.mistakes:
        yield from _told("unverified", "mistake", finding, n)
    for result in made.results:
        checked = result.checked.strip() or "nobody checked it"
        yield from _told("claims", "result", result, n, f" [checked: {checked}]")
    for question in filter(str.strip, made.open_questions):
        yield "unverified", f"open: {question.strip()}"
    for finding in made.agreements:
        yield from _told("approach", "agreement", finding, n)


def _told(name: str, kind: str, finding: Finding, n: int, more: str = "") -> Iterator[tuple[str, str]]:
    """Yield a finding with the numbers of those of its drafts that there are."""
    known = sorted({number for number in finding.drafts if 1 <= number <= n})
    whose = f" (draft{'s' * (len(known) > 1)} {', '.join(map(str, known))})" if known else ""
    if finding.text.strip():
        yield name, f"{kind}{whose}: {finding.text.strip()}{more}"
