"""short-3@8 beside majority@8 on streamed lengths such as the paper's: thinking tokens served, and wall time.

    python -m benchmarks.race [--quick] [--json]

Lengths are log-normal with mean 14,685 tokens and a coefficient of variation of 0.5 (arXiv 2505.17813), drawn
from the question and the seed of each request, streamed at 1,000 tokens a second over HTTP on loopback.  T_m
is the m-th smallest length of a question; the paper's cost is Σ min(L_i, T_m), and its time T_m.  As many
requests may leave at once as the questions need: with the cautious default of 32, the streams of one question
begin apart, and it takes longer than T_m.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import fmean

import anyio

from benchmarks.goals import Figure, report, started
from benchmarks.served import served
from tts.agents.answers import answer_form
from tts.agents.chat import ChatAgent
from tts.events import Chosen, Event
from tts.experiment import Experiment
from tts.models.names import model
from tts.models.throttle import Limits
from tts.testing.provider import Asked, Says, Script, Served
from tts.types import Task

K, M = 8, 3
MEAN, VARIATION = 14_685.0, 0.5
SECONDS_PER_TOKEN = 0.001
TOKENS_PER_EVENT = 32
QUESTIONS, QUICK_QUESTIONS, AT_ONCE = 16, 4, 8


def length(asked: Asked) -> int:
    """Return how many tokens an answer thinks: of the question and the seed alone."""
    variance = math.log(1 + VARIATION**2)
    drawn = Random(f"{asked.prompt} {asked.seed}").lognormvariate(
        math.log(MEAN) - variance / 2, variance**0.5
    )
    return max(1, round(drawn))


def thinking() -> Script:
    """Return a script of such answers."""

    def script(asked: Asked) -> Says:
        return Says(r"\boxed{42}", thinking_tokens=length(asked), seconds_per_token=SECONDS_PER_TOKEN)

    return script


@dataclass(slots=True)
class Clock:
    """A listener that notes when a strategy has chosen on each task."""

    chosen: dict[str, float] = field(default_factory=dict[str, float])

    def __call__(self, event: Event) -> None:
        """Hear an event."""
        if isinstance(event, Chosen):
            self.chosen[event.task_id] = time.monotonic()


@dataclass(frozen=True, slots=True)
class Question:
    """What one question came to: its lengths, the tokens served, and the seconds to the choice."""

    lengths: Sequence[int]
    tokens: int
    seconds: float

    @property
    def limit(self) -> int:
        """The m-th smallest length."""
        return sorted(self.lengths)[M - 1]


def asked(strategy: str, n: int) -> list[Question]:
    """Return what n questions came to under a strategy."""
    clock = Clock()
    with (
        served(thinking, keep_asked=True, keep_times=False, tokens_per_event=TOKENS_PER_EVENT) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        agent = ChatAgent(
            model=model(
                "openai/m",
                base_url=server.openai_url,
                max_output_tokens=200_000,
                limits=Limits(start=K * AT_ONCE),
            ),
            answer=answer_form("boxed"),
        )
        experiment = Experiment(
            tasks=[Task(f"q{i:03}", f"Question q{i:03}: what is 6 times 7?") for i in range(n)],
            strategies=[strategy],
            agent=agent,
            workers=K * AT_ONCE,
            window=AT_ONCE,
            listeners=[clock],
        )
        anyio.run(experiment.run, folder).close()
    return [_question(name, server.requests, at) for name, at in sorted(clock.chosen.items())]


def _question(name: str, requests: Sequence[Served], chosen_at: float) -> Question:
    ours = [r for r in requests if r.asked is not None and f"Question {name}:" in r.asked.prompt]
    lengths = [length(r.asked) for r in ours if r.asked is not None]
    return Question(lengths, sum(r.thinking_tokens for r in ours), chosen_at - min(r.opened_at for r in ours))


def measured(n: int) -> list[Figure]:
    """Return the figures over n questions."""
    short, majority = asked(f"short-{M}@{K}", n), asked(f"vote@{K}", n)
    aim = sum(min(length, q.limit) for q in short for length in q.lengths)
    tokens = sum(q.tokens for q in short)
    times = [q.seconds / (q.limit * SECONDS_PER_TOKEN) for q in short]
    saved = 1 - tokens / sum(q.tokens for q in majority)
    mean = fmean(length for q in majority for length in q.lengths)
    return [
        Figure("streams of each question", fmean(len(q.lengths) for q in short), K),
        Figure("mean length of the streams", mean, MEAN, 0.15 * MEAN, unit="tokens"),
        Figure("thinking tokens / Σ min(L_i, T_m)", tokens / aim, 1.0, 0.02),
        Figure("wall time / T_m, the mean question", fmean(times), 1.0, 0.1),
        Figure("wall time / T_m, the slowest question", max(times), 1.1, kind="most"),
        Figure("tokens saved against majority@8", 100 * saved, 25, kind="least", unit="%"),
        Figure(
            "wall time of majority@8 / short-3@8", _seconds(majority) / _seconds(short), 1.0, kind="least"
        ),
    ]


def _seconds(questions: Sequence[Question]) -> float:
    return fmean(question.seconds for question in questions)


def main(flags: Sequence[str]) -> int:
    """Run, print and return the exit code."""
    return report(
        "race", measured(QUICK_QUESTIONS if "--quick" in flags else QUESTIONS), as_json="--json" in flags
    )


if __name__ == "__main__":
    started(main, __doc__)
