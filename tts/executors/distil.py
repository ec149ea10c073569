"""Carries out a distillation: several drafts become one bounded workspace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tts.errors import Infra
from tts.models.meter import metered
from tts.protocols import Distiller, Summarizer, Work
from tts.types import Candidate, Effect, Rollout, Summary

MAX_CHARACTERS = 12_000
"""So long at most is the text of a merged workspace, headings and draft numbers aside."""

LISTS = {
    "claims": "",
    "verified": "",
    "attempted": "",
    "unverified": "",
    "tests": "command",
    "errors": "text",
    "changes": "file",
    "approach": "",
    "commands": "command",
    "files_modified": "",
    "files_examined": "",
    "requirements": "",
}
"""The lists of a summary, what matters most first, with the field of an entry that is marked as a draft's."""


class DistilRunner:
    """Distils the drafts whose summaries are the inputs, in their order.

    A summarizer that cannot distil has the summaries merged. Where one fails, they are merged too, and the
    workspace is marked failed.
    """

    def __init__(self, summarizer: Summarizer) -> None:
        self._summarizer = summarizer

    async def perform(self, effects: Sequence[Effect[Summary]], work: Work) -> Sequence[Summary]:
        """Return the workspaces, one after another."""
        return [await self._distil(effect, work) for effect in effects]

    async def _distil(self, effect: Effect[Summary], work: Work) -> Summary:
        drafts = [_draft(key, work) for key in effect.inputs]
        with metered(work.spend) as meter:
            try:
                made = await self._made(effect, drafts)
            except (Infra, ConnectionError):
                raise
            except Exception as error:  # noqa: BLE001 - a distiller's failure must not harm the drafts
                reason = f"{type(error).__name__}: {error}"
                made = replace(merged(drafts), status="failed", error=reason)
        sources, usage = tuple(d.rollout.key for d in drafts), made.usage + meter.beyond(made.usage)
        return replace(made, key=effect.key, rollout="", sources=sources, usage=usage)

    async def _made(self, effect: Effect[Summary], drafts: Sequence[Candidate]) -> Summary:
        if isinstance(self._summarizer, Distiller):
            return await self._summarizer.distil(effect.task, drafts)
        return merged(drafts)


def _draft(key: str, work: Work) -> Candidate:
    summary = work.load(key, Summary)
    return Candidate(work.load(summary.rollout, Rollout), summary)


def merged(drafts: Sequence[Candidate], *, size: int = MAX_CHARACTERS) -> Summary:
    """Return the drafts' summaries as one: equal entries once, each with the numbers of its drafts.

    Every draft gets an equal share of `size` characters, which its most important entries fill. A text that
    is too long is cut; an entry that does not fit is left out, and the final state says how many were.
    """
    sheet = _Sheet()
    for number, draft in enumerate(drafts, start=1):
        sheet.add(number, draft.summary, size // max(1, len(drafts)))
    lists: dict[str, Any] = {
        name: tuple(_marked(name, *entry) for entry in sheet.lists[name].items()) for name in LISTS
    }
    ends = [_marked("", *entry) for entry in sheet.ends.items()]
    if sheet.n_left_out:
        ends.append(f"[{sheet.n_left_out} more entries of the drafts' summaries do not fit]")
    covered = sum(draft.summary.covered for draft in drafts) / max(1, len(drafts)) * sheet.held
    return replace(Summary(final_state="\n".join(ends), covered=covered), **lists)


@dataclass(slots=True)
class _Sheet:
    """Entries by list, each with the numbers of the drafts that have it."""

    lists: dict[str, dict[Any, list[int]]] = field(default_factory=lambda: {name: {} for name in LISTS})
    ends: dict[Any, list[int]] = field(default_factory=dict[Any, list[int]])
    n_left_out: int = 0
    n_read: int = 0
    n_kept: int = 0

    @property
    def held(self) -> float:
        """The share of the characters that was kept."""
        return self.n_kept / self.n_read if self.n_read else 1.0

    def add(self, number: int, summary: Summary, room: int) -> None:
        """Add what there is room for, in characters; no single text takes more than half of what is left."""
        for name, whole in _entries(summary):
            entry = _cut(whole, room // 2) if isinstance(whole, str) else whole
            length = _length(entry)
            self.n_read += _length(whole)
            if not length or length > room:
                self.n_left_out += 1
                continue
            room -= length
            self.n_kept += length
            place = self.lists[name] if name else self.ends
            place.setdefault(entry, []).append(number)


def _entries(summary: Summary) -> Iterator[tuple[str, Any]]:
    """Yield the entries with the names of their lists; the final state, which has none, comes first."""
    end = f"no summary: {summary.error}" if summary.error else summary.final_state
    if end:
        yield "", end
    for name in LISTS:
        for entry in dict.fromkeys(getattr(summary, name)):
            if entry:
                yield name, entry


def _length(entry: Any) -> int:
    return len(entry if isinstance(entry, str) else repr(entry))


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    note = f" [{len(text) - limit} characters cut]"
    return text[: limit - len(note)] + note if limit > len(note) else ""


def _marked(name: str, entry: Any, numbers: Sequence[int]) -> Any:
    """Return an entry that says whose it is."""
    whose = f"draft{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}: "
    part = LISTS.get(name)
    return replace(entry, **{part: whose + getattr(entry, part)}) if part else whose + entry
