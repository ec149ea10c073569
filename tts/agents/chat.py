"""An agent for short answers: one streamed completion a rollout, its thinking apart from its answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from tts.agents.answers import AnswerForm, answer_form
from tts.confidence import LOWEST_GROUP, WINDOW, Confidence
from tts.errors import Declined, LimitReached, UsageError
from tts.hostile import fitting, size_of
from tts.models.chat import Again, Ask, Began, Chat, Delta, Reply
from tts.models.tokens import BYTES_PER_TOKEN, estimated_tokens, most_tokens
from tts.prompts import Prompts, fenced
from tts.prompts.fence import plain
from tts.protocols import Attempt
from tts.types import Budget, Rollout, Step, Summary, Task

HINTS = {
    "boxed": r"Put your final answer into \boxed{}.",
    "number": "End with your final answer: one number, alone on the last line.",
    "choice": "End with the letter of your answer, alone on the last line.",
    "json": 'Answer with one JSON object that has the field "{rest}".',
}
"""What is added to a prompt so that the answer can be found, by form of answer."""

Thinking = Literal["shown", "hidden"]


@dataclass(frozen=True, kw_only=True)
class ChatAgent:
    """Answers with one completion of a model.

    `answer` says how the answer is taken out of the text. The length of a rollout, by which races go, is
    its thinking in tokens, estimated from the text that streams in (four bytes a token), so it is the same
    measure under way and in the end. A model that shows no thinking is measured by its whole text.
    `thinking="hidden"` is for models that think out of sight: their thinking is over when the text begins,
    its length is what the provider counts in the end, and until then races go by arrival.
    `max_prior_tokens` is about the most that is shown of one earlier attempt.

    `logprobs` asks for the log-probabilities of so many of the likeliest tokens at each place (0: none), of
    which `tts.confidence` makes the rollout's signals, over groups of `window` tokens; the lowest full group
    so far is told under way.
    """

    model: Chat
    answer: AnswerForm = field(default_factory=lambda: answer_form("text"))
    prompts: Prompts = Prompts()
    thinking: Thinking = "shown"
    max_prior_tokens: int = 8_000
    logprobs: int = 0
    window: int = WINDOW

    def __post_init__(self) -> None:
        if self.logprobs < 0 or self.window < 1:
            raise UsageError(
                "a chat agent takes logprobs of 0 or more and a window of 1 or more, "
                f"not logprobs={self.logprobs} and window={self.window}"
            )
        if self.logprobs and self.model.shares != "n":
            raise UsageError(
                "log-probabilities come through OpenAI's Chat Completions and servers that speak them: "
                f"{self.model.fingerprint.partition('#')[0]} is asked otherwise"
            )

    @property
    def templates(self) -> dict[str, str]:
        """The prompts that it uses, by name."""
        return self.prompts.named("answer")

    @property
    def fingerprint(self) -> str:
        """The model, the form of the answer, the prompt, the size of priors, and log-probabilities if any."""
        parts = [self.model.fingerprint, self.answer.name, self.prompts.digest("answer"), self.thinking]
        asked = f"/logprobs-{self.logprobs}-{self.window}" if self.logprobs else ""
        return f"chat/1/{'/'.join(parts)}/{self.max_prior_tokens}{asked}"

    def bound_for(self, task: Task, inputs: Sequence[Summary]) -> Budget:
        """Return the most that a rollout from these priors can cost."""
        ask = self._ask(task, inputs)
        return self.model.bound(most_tokens(ask.text))

    async def ready(self) -> None:
        """Check that the prompt can be filled and, where it can tell, that the model can be had.

        Raises:
            UsageError, Unusable: one of these is not so.
        """
        probe = self._ask(Task("", "the-task-9137"), [Summary(claims=("a claim",))]).text
        if "the-task-9137" not in probe:
            raise UsageError(
                "the prompt 'answer' leaves out the task: its block `question` needs {{ prompt }}"
            )
        await self.model.ready()

    async def run(self, task: Task, attempt: Attempt) -> Rollout:
        """Return the rollout of one completion; its text and thinking are its only step."""
        told = Telling(attempt, self.thinking == "hidden", Confidence(self.window))
        try:
            (reply,) = await self.model.ask(self._ask(task, attempt.priors, attempt.seed), heard=told)
        except BaseException:
            told.leave()
            raise
        told.finish(reply)
        return self._rollout(reply, told)

    def _rollout(self, reply: Reply, told: Telling) -> Rollout:
        if reply.stop == "refused":
            raise Declined(f"the model refused: {plain(reply.text)[:200]}")
        rollout = Rollout(length=float(told.length(reply)), signals=told.confidence.signals())
        if reply.stop == "length":
            error = "the answer was cut at the cap on output tokens"
            return replace(rollout, status="limit", thought=bool(reply.text), error=error)
        return replace(rollout, answer=self.answer(reply.text), thought=True)

    def _ask(self, task: Task, priors: Sequence[Summary], seed: int | None = None) -> Ask:
        way, _, rest = self.answer.name.partition(":")
        values = {
            "prompt": task.prompt,
            "hint": HINTS.get(way, "").replace("{rest}", rest),
            "priors": [self._prior(prior) for prior in priors],
            "workspace": any(prior.sources for prior in priors),
        }
        question = self.prompts.part("answer", "question", **values)
        system = self.prompts.part("answer", "system", **values)
        return Ask(system, (question,), seed=seed, logprobs=self.logprobs)

    def _prior(self, prior: Summary) -> str:
        return fenced(fitting(plain(prior.render()), self.max_prior_tokens * BYTES_PER_TOKEN)[0])


@dataclass(slots=True, eq=False)
class Telling:
    """Passes on how far a completion has come; what was heard of it is kept when it ends too early."""

    attempt: Attempt
    hidden: bool
    confidence: Confidence
    started: float = field(default_factory=time.time)
    thinking: list[str] = field(default_factory=list[str])
    text: list[str] = field(default_factory=list[str])
    n_bytes: int = 0
    furthest: float = 0.0
    over: bool = False

    def __call__(self, event: Began | Delta | Again) -> None:
        """Hear a piece; a stream that begins anew does not take back how far the cut one had come."""
        if isinstance(event, Again):
            self.thinking, self.text, self.n_bytes = [], [], 0
            self.confidence = Confidence(self.confidence.window)
        elif isinstance(event, Delta):
            self._hear(event)

    def _hear(self, piece: Delta) -> None:
        if piece.thinking:
            self.thinking.append(piece.thinking)
            self._on(piece.thinking)
        if piece.text:
            self.text.append(piece.text)
            if self.thinking or self.hidden:
                self._end()
            else:
                self._on(piece.text)
        if piece.logprobs:
            self._weigh(piece.logprobs)

    def _weigh(self, logprobs: Sequence[Sequence[float]]) -> None:
        """Take in how sure the model was, and tell it where it has never been less sure."""
        before = self.confidence.lowest
        for token in logprobs:
            self.confidence.add(token)
        lowest = self.confidence.lowest
        if lowest is not None and lowest != before:
            length = None if self.hidden else self.furthest
            self.attempt.progress(length, signals={LOWEST_GROUP: lowest})

    def _on(self, text: str) -> None:
        self.n_bytes += size_of(text)
        reached = -(-self.n_bytes // BYTES_PER_TOKEN)
        if reached > self.furthest:
            self.furthest = reached
            self.attempt.progress(self.furthest)

    def _end(self) -> None:
        if not self.over:
            self.over = True
            self.attempt.progress(None if self.hidden else self.furthest, thought=True)

    def length(self, reply: Reply) -> int:
        """Return the length of a whole reply: of its thinking, or of its text where it shows none."""
        if not reply.thinking and (self.hidden or reply.usage.reasoning_tokens):
            return reply.usage.reasoning_tokens
        return estimated_tokens(reply.thinking or reply.text)

    def finish(self, reply: Reply) -> None:
        """Record the whole reply."""
        self.attempt.record(self._step(reply.thinking, reply.text))

    def leave(self) -> None:
        """Record what there is of a reply that did not come to its end; what stopped it goes on."""
        if self.thinking or self.text:
            try:
                self.attempt.record(self._step("".join(self.thinking), "".join(self.text)))
            except LimitReached:
                self.over = True

    def _step(self, thinking: str, text: str) -> Step:
        return Step(thought=thinking, observation=text, seconds=time.time() - self.started, at=self.started)
