"""The record that a model makes of a trajectory: the form, several made one, and its place in a summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from tts.hostile import line
from tts.summarizers.citing import Cited, Statement
from tts.summarizers.forms import Form, few
from tts.types import Command, Summary

MAX_ITEMS = 20
"""Entries that a list of the summary takes from a record; a note says how many more there were."""
MAX_COMMANDS = 40
"""Captured commands that a summary shows; all test runs and errors are listed besides."""
MOST_NAMED = 60
"""Files that are looked for in the trajectory, three times as many as the form asks for."""


class Requirement(Statement):
    """Something that the task asks, and what the attempt did about it."""

    coverage: Literal["addressed", "partly", "not addressed", "unclear"] = Field(
        description="What the attempt did about it, whether or not it did so rightly."
    )


class Record(Form):
    """What a model reads out of a trajectory."""

    requirements: list[Requirement] = Field(
        description="What the task asks: objective, expected and present behaviour, constraints and what "
        "would count as success, each with what the attempt did about it. At most 12."
    )
    approach: list[Statement] = Field(
        description="In their order: the strategy, discoveries such as a cause that was found, and changes "
        "of approach with their reason. What was changed goes in by file and function. At most 15."
    )
    files_examined: list[str] = Field(
        description="Files that were read to understand the problem, as the trajectory writes them. "
        "At most 20."
    )
    claims: list[Statement] = Field(
        description="What the agent says of its work, above all of success, as the agent's words. At most 15."
    )
    verified: list[Statement] = Field(
        description="What captured output shows, with what was run and what came out: checks that passed, "
        "and errors that were reproduced and then gone. Only captured steps count. At most 15."
    )
    attempted: list[Statement] = Field(
        description="What was tried or said and captured output contradicts: checks that failed and were not "
        "mended later, errors that stayed. Only captured steps count. At most 15."
    )
    unverified: list[Statement] = Field(
        description="What matters for the task and no captured output decides, such as a check that was run "
        "before the last edit, or one whose result was not captured. At most 15."
    )
    untested: list[str] = Field(
        description="Cases, inputs, platforms and existing behaviour that the task touches and nobody tried. "
        "At most 10."
    )
    resources: list[str] = Field(
        description="Time, memory, downloads, services or leftover processes, where they matter. At most 5."
    )
    key_steps: list[int] = Field(
        description="The captured steps whose commands and output a judge should see. At most 15."
    )
    final_claim: str = Field(
        description="What the agent says the final state is; empty if it says nothing. "
        "At most 600 characters."
    )
    final_shown: str = Field(
        description="What the patch, files and captured output show of the final state. "
        "At most 600 characters."
    )


def joined(records: Sequence[Record]) -> Record:
    """Return the records of consecutive parts as one: each entry once, the last word on the final state."""
    lists: dict[str, list[object]] = {}
    for name, info in Record.model_fields.items():
        if info.annotation is not str:
            every = [one for record in records for one in getattr(record, name)]
            lists[name] = [one for i, one in enumerate(every) if one not in every[:i]]
    ends = {name: _last(records, name) for name in ("final_claim", "final_shown")}
    return Record.model_validate({**lists, **ends})


def _last(records: Sequence[Record], name: str) -> str:
    return next((text for record in reversed(records) if (text := getattr(record, name).strip())), "")


def citing_only(record: Record, cited: Cited) -> Record:
    """Return the record without the steps that were not shown."""
    lists: dict[str, Any] = {
        name: [cited.statement(x) if isinstance(x, Statement) else x for x in value]
        for name, value in record
        if not isinstance(value, str)
    }
    return record.model_copy(update={**lists, "key_steps": cited.known(record.key_steps)})


def summary_of(evidence: Summary, record: Record, cited: Cited, notes: Sequence[str] = ()) -> Summary:
    """Return the summary: what is captured as `evidence` has it, and the record's reading of it.

    `notes` say what was not read.
    """
    verified, unproven = cited.split(record.verified, good_news=True)
    attempted, undecided = cited.split(record.attempted, good_news=False)
    unverified = [*unproven, *undecided, *map(cited.text, record.unverified)]
    untested = [f"not tested: {text}" for text in record.untested if text.strip()]
    commands = _commands(evidence, record)
    n_hidden = len(evidence.commands) - len(commands)
    hidden = [f"[{n_hidden} more captured commands not shown]"] if n_hidden else []
    return replace(
        evidence,
        requirements=few([_required(r, cited) for r in record.requirements], MAX_ITEMS)
        or evidence.requirements,
        approach=(*_approach(record, cited), *hidden) or evidence.approach,
        files_examined=few([*evidence.files_examined, *_named(record, cited)], MAX_ITEMS),
        commands=commands,
        verified=(*evidence.verified, *few(verified, MAX_ITEMS, chars=700)),
        attempted=(*evidence.attempted, *few(attempted, MAX_ITEMS, chars=700)),
        unverified=(
            *notes,
            *_open(evidence),
            *few(unverified, MAX_ITEMS, chars=700),
            *few(untested, MAX_ITEMS),
        ),
        claims=few([cited.text(item) for item in record.claims], MAX_ITEMS, chars=700) or evidence.claims,
        final_state=_final(evidence, record),
    )


def _required(item: Requirement, cited: Cited) -> str:
    told = cited.text(item)
    return f"[{item.coverage}] {told}" if told else ""


def _approach(record: Record, cited: Cited) -> tuple[str, ...]:
    told = [cited.text(item) for item in record.approach]
    used = [f"resources: {text}" for text in record.resources if text.strip()]
    return (*few(told, MAX_ITEMS, chars=700), *few(used, MAX_ITEMS))


def _named(record: Record, cited: Cited) -> Iterator[str]:
    """Yield the files that the record names and the trajectory has."""
    for name in record.files_examined[:MOST_NAMED]:
        texts = (text for s in cited.steps.values() for text in (s.action, s.observation, s.thought))
        if name.strip() and any(name.strip() in text for text in texts):
            yield name


def _commands(evidence: Summary, record: Record) -> tuple[Command, ...]:
    """The last of those that the record names or whose errors stand; of all where it names none."""
    wanted = {*record.key_steps, *(problem.step for problem in evidence.errors if not problem.resolved)}
    named = [one for one in evidence.commands if not record.key_steps or one.step in wanted]
    return tuple(named[-MAX_COMMANDS:])


def _open(evidence: Summary) -> tuple[str, ...]:
    """What the mechanical reading leaves open, without the claims, which the record has in better words."""
    return tuple(text for text in evidence.unverified if not text.endswith(evidence.claims or ("\0",)))


def _final(evidence: Summary, record: Record) -> str:
    ends = [("the agent says", record.final_claim), ("artefacts show, as read", record.final_shown)]
    told = [f"{who}: {line(text, 800)}" for who, text in ends if text.strip()]
    return "\n".join([evidence.final_state, *told])
