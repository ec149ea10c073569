"""A model as judge: it reads a group's summaries and outputs, and answers with reasons and then a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import anyio

from tts.errors import Declined, Infra, UsageError
from tts.hostile import cut
from tts.judges.ruling import Ruling, labels_for, ruling_of, schema_for
from tts.judges.showing import shown_of
from tts.models.chat import Ask, Chat, Reply
from tts.models.sharing import Answered, several
from tts.models.tokens import BYTES_PER_TOKEN, most_tokens
from tts.prompts import Prompts
from tts.prompts.fence import plain
from tts.types import Budget, Candidate, Rollout, Summary, Task, Usage, Verdict

T = TypeVar("T", int, float)

QUOTED_CHARS = 4_000
"""So much at most of a reply that could not be read is shown to the model again."""
AGAIN_TOKENS = 4 * QUOTED_CHARS // 3 + 500
"""So many tokens at most does asking again add to a prompt."""


@dataclass(frozen=True, kw_only=True)
class ModelJudge:
    """Votes with a model. All votes on one display order share the prompt.

    The criteria are those of arXiv 2604.16529 (METHODS §1), in its order. `max_candidate_tokens` is about
    the most that is shown of one candidate, summary and output together; a note says what is cut. What
    cannot be read as a verdict is asked for once more and then abstains.
    """

    model: Chat
    prompts: Prompts = Prompts()
    max_candidate_tokens: int = 24_000

    @property
    def templates(self) -> dict[str, str]:
        """The prompts that it uses, by name."""
        return self.prompts.named("judge")

    @property
    def fingerprint(self) -> str:
        """The model, the prompts and the size."""
        return f"judge/1/{self.model.fingerprint}/{self.prompts.digest('judge')}/{self.max_candidate_tokens}"

    def bound_for(self, task: Task, inputs: Sequence[Candidate]) -> Budget:
        """Return the most that one vote on these candidates can cost, asked twice."""
        prompt = most_tokens(self._ask(task, inputs, labels_for(len(inputs))).text)
        first, again = self.model.bound(prompt), self.model.bound(prompt + AGAIN_TOKENS)
        return Budget(
            _sum(first.usd, again.usd), _sum(first.tokens, again.tokens), _sum(first.seconds, again.seconds)
        )

    async def ready(self) -> None:
        """Check that the prompts can be filled and, where it can tell, that the model can be had.

        Raises:
            UsageError, Unusable: one of these is not so.
        """
        shown = [Candidate(Rollout(answer="an-answer-9137"), Summary(claims=("a-claim-9137",)))] * 2
        probe = self._ask(Task("", "the-task-9137"), shown, labels_for(2)).text
        if any(mark not in probe for mark in ("the-task-9137", "an-answer-9137", "a-claim-9137")):
            raise UsageError("the prompt 'judge' leaves out the task, a candidate's summary or its output")
        self.prompts.part("judge", "again", labels=labels_for(2))
        await self.model.ready()

    async def compare(self, task: Task, shown: Sequence[Candidate], *, n: int = 1) -> list[Verdict]:
        """Return `n` independent verdicts on the candidates in the order shown.

        A vote that a failure of the provider took away has the status `infra`, and is asked again on the
        next run.
        """
        labels = labels_for(len(shown))
        ask = self._ask(task, shown, labels)
        replies = await several(self.model, ask, n)
        votes: list[Verdict] = [Verdict(status="infra")] * len(replies)

        async def read(i: int) -> None:
            votes[i] = await self._vote(ask, replies[i], shown, labels)

        async with anyio.create_task_group() as group:
            for i in range(len(replies)):
                group.start_soon(read, i)
        return votes

    async def _vote(
        self, ask: Ask, reply: Answered, shown: Sequence[Candidate], labels: Sequence[str]
    ) -> Verdict:
        if not isinstance(reply, Reply):
            return _missing(reply)
        ruling = ruling_of(reply, labels)
        if ruling is not None:
            return _verdict(ruling, shown, labels, reply.usage)
        return await self._once_more(ask, reply, shown, labels)

    async def _once_more(
        self, ask: Ask, reply: Reply, shown: Sequence[Candidate], labels: Sequence[str]
    ) -> Verdict:
        said = cut(reply.text, QUOTED_CHARS) or "(nothing)"
        again = ask.then(said, self.prompts.part("judge", "again", labels=labels))
        try:
            (second,) = await self.model.ask(again)
        except (Infra, Declined) as error:
            return replace(_missing(error), usage=reply.usage)
        usage = reply.usage + second.usage
        ruling = ruling_of(second, labels)
        if ruling is None:
            return Verdict(status="failed", reason="unreadable twice", usage=usage)
        return _verdict(ruling, shown, labels, usage)

    def _ask(self, task: Task, shown: Sequence[Candidate], labels: Sequence[str]) -> Ask:
        parts = [
            self.prompts.part("judge", "task", task=plain(task.prompt)),
            *self._shown(shown, labels),
            self.prompts.part("judge", "question", labels=labels),
        ]
        system = self.prompts.part("judge", "system")
        return Ask(system, tuple(parts), schema=schema_for(labels), schema_name="verdict")

    def _shown(self, candidates: Sequence[Candidate], labels: Sequence[str]) -> list[str]:
        size = self.max_candidate_tokens * BYTES_PER_TOKEN
        return [
            self.prompts.part("judge", "candidate", label=label, **shown_of(candidate, size))
            for label, candidate in zip(labels, candidates, strict=True)
        ]


def _missing(error: Infra | Declined) -> Verdict:
    """A vote that could not be had: asked again on the next run, unless the prompt was declined."""
    return Verdict(status="infra" if isinstance(error, Infra) else "failed", reason=str(error))


def _sum(a: T | None, b: T | None) -> T | None:
    return None if a is None or b is None else a + b


def _verdict(ruling: Ruling, shown: Sequence[Candidate], labels: Sequence[str], usage: Usage) -> Verdict:
    preferred = shown[labels.index(ruling.verdict)].rollout.key
    return Verdict(preferred=preferred, reason=ruling.reasons, usage=usage)
