"""A summarizer with a model: it reads the whole trajectory, and captured evidence stays what was captured."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import astuple, dataclass, replace
from functools import cached_property, partial
from typing import Any, TypeVar

import anyio

from tts.errors import UsageError
from tts.executors.distil import merged
from tts.hostile import fitting, size_of
from tts.models.chat import Ask, Chat
from tts.models.tokens import BYTES_PER_TOKEN, BYTES_PER_TOKEN_AT_LEAST, FRAME_TOKENS
from tts.prompts import Prompts, fenced
from tts.prompts.fence import plain
from tts.summarizers.citing import Cited
from tts.summarizers.extractive import ExtractiveSummarizer
from tts.summarizers.forms import AGAIN_BYTES, Filled, Form, filled, in_words, schema_of
from tts.summarizers.parts import Span, Trajectory, named, sections
from tts.summarizers.record import Record, citing_only, joined, summary_of
from tts.summarizers.workspace import Workspace, workspace_summary
from tts.types import Budget, Candidate, Rollout, Step, Summary, Task, Usage, digest

T = TypeVar("T")
F = TypeVar("F", bound=Form)

TASK_SHARE = 4
"""The task takes at most this part of a prompt: one fourth."""
EVIDENCE = ExtractiveSummarizer(max_steps=2_000)
DRAFT_FRAME = 600
"""Bytes that headings and marks of a draft take at most."""


@dataclass(frozen=True, kw_only=True)
class ModelSummarizer:
    """Summarizes a trajectory with a model; also distils several drafts into one workspace.

    Commands, test runs, errors and changes are read out mechanically, by `evidence`; the model fills in what
    needs understanding, and what it calls verified has to rest on captured steps.  What cannot be read is
    asked for once more, and then the mechanical reading stands alone, with `error` saying so.

    `max_part_tokens` is about the most that one prompt has; a longer trajectory is read in parts that overlap
    by `overlap_tokens`, and their records are merged.  Of more than `max_parts` the first and the last ones
    are read.  `Summary.covered` is the share of the trajectory, final answer and patch that was read.  A
    workspace has at most `max_workspace_tokens`, by four bytes a token.
    """

    model: Chat
    prompts: Prompts = Prompts()
    max_part_tokens: int = 100_000
    overlap_tokens: int = 2_000
    max_parts: int = 16
    max_workspace_tokens: int = 4_000
    evidence: ExtractiveSummarizer = EVIDENCE

    def __post_init__(self) -> None:
        own = self._fixed(Record, "summarize")
        least = max(8_000, 2 * own // BYTES_PER_TOKEN)
        if self.max_part_tokens < least:
            raise UsageError(f"max_part_tokens is {least} or more, not {self.max_part_tokens}")
        if self.max_parts < 1 or self.overlap_tokens < 0 or self.max_workspace_tokens < 500:
            raise UsageError(
                "max_parts is 1 or more, overlap_tokens 0 or more, max_workspace_tokens 500 or more"
            )

    @property
    def templates(self) -> dict[str, str]:
        """The prompts that it uses, by name."""
        return self.prompts.named("summarize", "distil")

    @property
    def fingerprint(self) -> str:
        """The model, the prompts and the sizes."""
        sizes = [self.max_part_tokens, self.overlap_tokens, self.max_parts, self.max_workspace_tokens]
        told = digest([*sizes, *astuple(self.evidence)])[:12]
        return f"summary/1/{self.model.fingerprint}/{self.prompts.digest('summarize', 'distil')}/{told}"

    @property
    def bound(self) -> Budget:
        """The most that any call can cost: all parts and their merging, each asked twice."""
        return self._most(self._size, self.max_parts)

    def bound_for(self, task: Task, inputs: Sequence[Rollout] | Sequence[Candidate]) -> Budget:
        """Return the most that summarizing a rollout, or distilling candidates, can cost.

        A trajectory whose size is not known may take all parts.
        """
        rollouts = [one for one in inputs if isinstance(one, Rollout)]
        if any(rollout.n_steps and not rollout.trace_bytes for rollout in rollouts):
            return self.bound
        read = min(self._size // TASK_SHARE, 3 * size_of(task.prompt))
        read += sum(3 * size_of(text) + DRAFT_FRAME for one in inputs for text in _texts(one))
        read += sum(3 * rollout.trace_bytes + DRAFT_FRAME * rollout.n_steps for rollout in rollouts)
        n_parts = min(self.max_parts, 1 + read // (self._size // 2)) if rollouts else 1
        fixed = self._fixed(Workspace, "distil") + self._fixed(Record, "summarize")
        return self._most(min(read + fixed, self._size), n_parts)

    async def ready(self) -> None:
        """Check that the model can be had, where it can tell."""
        await self.model.ready()

    async def summarize(self, task: Task, rollout: Rollout, steps: Sequence[Step]) -> Summary:
        """Return the summary of the rollout whose trajectory is `steps`."""
        evidence = await self.evidence.summarize(task, rollout, steps)
        return await _Reading(self, task, rollout, steps, evidence).summary()

    async def distil(self, task: Task, drafts: Sequence[Candidate]) -> Summary:
        """Return one workspace of several drafts."""
        shown, share = self._drafts(task, drafts)
        n = len(drafts)
        question = self.question("distil", Workspace, n_drafts=n, size=self.max_workspace_tokens // 2)
        told = await self.filled(task, "distil", "\n\n".join([*shown, question]), Workspace)
        size = self.max_workspace_tokens * BYTES_PER_TOKEN
        if told.form is None:
            made = replace(merged(drafts, size=size * 3 // 4), error=_unusable(told.wrong))
        else:
            read = sum(draft.summary.covered for draft in drafts) / max(1, n)
            made = replace(workspace_summary(told.form, n, size), covered=read * share)
        return replace(made, usage=told.usage, sources=tuple(draft.rollout.key for draft in drafts))

    async def filled(self, task: Task, template: str, body: str, form: type[F]) -> Filled[F]:
        """Return a form that the model fills in after reading the task and a body."""
        again = partial(self._again, template, form)
        parts = (self._task(task, template), body)
        system = self.prompts.part(template, "system")
        ask = Ask(system, parts, schema=schema_of(form), schema_name=form.__name__.lower())
        return await filled(self.model, ask, form, again)

    def question(self, template: str, form: type[Form], **values: object) -> str:
        """Return the part of a prompt that says what is wanted."""
        return self.prompts.part(template, "question", fields=in_words(form), **values)

    def room(self, task: Task, form: type[Form], template: str) -> int:
        """Return how many bytes a prompt has for what is read."""
        return self._size - self._fixed(form, template) - size_of(self._task(task, template))

    @cached_property
    def _size(self) -> int:
        return self.max_part_tokens * BYTES_PER_TOKEN

    def _fixed(self, form: type[Form], template: str) -> int:
        """Bytes of a prompt that are the same for all tasks, the schema among them, and some to spare."""
        values: dict[str, Any] = {"n_drafts": 99, "size": 99_999} if template == "distil" else {}
        told = [self.prompts.part(template, "system"), self.question(template, form, **values)]
        return sum(map(size_of, [*told, json.dumps(schema_of(form))])) + 2_000

    def _again(self, template: str, form: type[Form], wrong: str) -> str:
        return self.prompts.part(template, "again", wrong=wrong, names=list(form.model_fields))

    def _task(self, task: Task, template: str) -> str:
        shown, _ = fitting(plain(task.prompt), self._size // TASK_SHARE)
        return self.prompts.part(template, "task", task=shown)

    def _drafts(self, task: Task, drafts: Sequence[Candidate]) -> tuple[list[str], float]:
        """Return the drafts as they are shown, each in an equal part of the prompt, and the share shown."""
        room = self.room(task, Workspace, "distil") // max(1, len(drafts)) - DRAFT_FRAME
        shown, shares = list[str](), list[float]()
        for number, draft in enumerate(drafts, start=1):
            output, part = fitting(plain(draft.rollout.output or ""), room // 2)
            summary, whole = fitting(plain(draft.summary.render()), room - size_of(output))
            shares.append((part + whole) / 2)
            values = {"number": number, "status": draft.rollout.status, "summary": fenced(summary)}
            kind = "patch" if draft.rollout.patch is not None else "answer"
            values |= {"output": fenced(output) if output else "", "kind": kind}
            shown.append(self.prompts.part("distil", "draft", **values))
        return shown, sum(shares) / max(1, len(shares))

    def _most(self, prompt_bytes: int, n_parts: int) -> Budget:
        """The most that readings with prompts of so many bytes cost, each asked twice, and their merging."""
        n = n_parts + (n_parts > 1)
        first = self.model.bound(_most_tokens(prompt_bytes))
        again = self.model.bound(_most_tokens(prompt_bytes + AGAIN_BYTES))
        in_a_row = 2 if n == 1 else 4
        return Budget(
            usd=None if first.usd is None or again.usd is None else n * (first.usd + again.usd),
            tokens=None
            if first.tokens is None or again.tokens is None
            else n * (first.tokens + again.tokens),
            seconds=None if first.seconds is None else in_a_row * first.seconds,
        )


class _Reading:
    """One trajectory as it is read."""

    def __init__(
        self, own: ModelSummarizer, task: Task, rollout: Rollout, steps: Sequence[Step], evidence: Summary
    ) -> None:
        self.own, self.task, self.steps, self.evidence = own, task, steps, evidence
        room = own.room(task, Record, "summarize")
        overlap = min(own.overlap_tokens * BYTES_PER_TOKEN, room // 4)
        self.trajectory = Trajectory(sections(rollout, steps), room, overlap)
        self.spans = self.trajectory.chosen(own.max_parts)
        self.unseen = named(self.trajectory.unseen(self.spans))

    async def summary(self) -> Summary:
        if not self.spans:
            return self.evidence
        told = await _gathered([partial(self._part, i) for i in range(len(self.spans))])
        usage = sum((one.usage for one in told), Usage())
        read = [(s, one.form) for s, one in zip(self.spans, told, strict=True) if one.form is not None]
        if not read:
            wrong = "; ".join(dict.fromkeys(one.wrong for one in told))
            return replace(self.evidence, error=_unusable(wrong), usage=usage)
        spans = [span for span, _ in read]
        records = [citing_only(record, self._cited([span])) for span, record in read]
        record, merging = await self._merged(records)
        made = summary_of(self.evidence, record, self._cited(spans), self._notes(spans))
        covered = min(self.trajectory.covered(spans), self.evidence.covered)
        return replace(made, covered=covered, usage=usage + merging)

    async def _part(self, i: int) -> Filled[Record]:
        trace = self._block(
            "trace",
            sections=[self._shown(excerpt) for excerpt in self.trajectory.excerpts(self.spans[i])],
            part=i + 1,
            n_parts=len(self.spans),
            shown=named(self._numbers(self.spans[i])),
            unseen=self.unseen,
        )
        return await self._filled(trace)

    async def _merged(self, records: Sequence[Record]) -> tuple[Record, Usage]:
        """Return the records as one, and what that took; a mechanical merge where the model makes none."""
        if len(records) == 1:
            return records[0], Usage()
        told = [f"## Part {i}\n\n{fenced(one.model_dump_json())}" for i, one in enumerate(records, start=1)]
        if sum(map(size_of, told)) > self.trajectory.room:
            return joined(records), Usage()
        body = self._block("merge", records=told, n_parts=len(records), unseen=self.unseen)
        merging = await self._filled(body)
        return merging.form or joined(records), merging.usage

    async def _filled(self, body: str) -> Filled[Record]:
        question = self.own.question("summarize", Record)
        return await self.own.filled(self.task, "summarize", f"{body}\n\n{question}", Record)

    def _block(self, name: str, **values: object) -> str:
        return self.own.prompts.part("summarize", name, **values)

    def _shown(self, excerpt: Any) -> str:
        section = excerpt.section
        fields = [(label, fenced(text)) for label, text in excerpt.fields]
        values = {"number": section.number, "title": section.title, "returncode": section.returncode}
        return self._block("section", **values, note=excerpt.note, fields=fields)

    def _numbers(self, span: Span) -> list[str]:
        return [str(number) for number in sorted(self.trajectory.steps(span))]

    def _cited(self, spans: Sequence[Span]) -> Cited:
        numbers = set[int]().union(*map(self.trajectory.steps, spans))
        return Cited({number: self.steps[number] for number in sorted(numbers)})

    def _notes(self, read: Sequence[Span]) -> list[str]:
        missing = named(self.trajectory.unseen(read))
        return [f"[the model has not read, or not in full: {missing}]"] if missing else []


def _texts(one: Rollout | Candidate) -> list[str]:
    if isinstance(one, Rollout):
        return [one.answer or "", one.patch or ""]
    return [one.rollout.output or "", one.summary.render()]


def _most_tokens(n_bytes: int) -> int:
    return n_bytes // BYTES_PER_TOKEN_AT_LEAST + FRAME_TOKENS


def _unusable(wrong: str) -> str:
    return f"the model's reading could not be used ({wrong}); this is the mechanical reading alone"


async def _gathered(jobs: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Return the results of jobs that run at once; the first error cancels the others and is raised."""
    results: dict[int, T] = {}
    errors = list[Exception]()
    async with anyio.create_task_group() as group:

        async def run(i: int) -> None:
            try:
                results[i] = await jobs[i]()
            except Exception as error:  # noqa: BLE001 - raised below, outside the group
                errors.append(error)
                group.cancel_scope.cancel()

        for i in range(len(jobs)):
            group.start_soon(run, i)
    if errors:
        raise errors[0]
    return [results[i] for i in range(len(jobs))]
