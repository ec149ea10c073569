"""Ratios that do not depend on the machine: requests, tokens, statements and memory for each rollout."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from tts.agents.answers import answer_form
from tts.agents.chat import ChatAgent
from tts.experiment import Experiment
from tts.models.names import model
from tts.protocols import Attempt
from tts.store import Store
from tts.testing import ScriptedAgent
from tts.testing.provider import Asked, ModelServer, Says
from tts.types import Budget, Rollout, Step, Task

BOUND = Budget(seconds=60.0)
LENGTHS = (150, 90, 400, 120, 250, 600, 135, 300)


async def answer(task: Task, attempt: Attempt) -> Rollout:
    attempt.record(Step(observation="a line of output"))
    return Rollout(answer=str(attempt.seed % 3))


def experiment(n_tasks: int, n_rollouts: int) -> Experiment:
    return Experiment(
        tasks=[Task(f"t{i}", "one of three") for i in range(n_tasks)],
        strategies=[f"vote@{n_rollouts}"],
        agent=ScriptedAgent(answer, bound=BOUND),
        workers=8,
    )


def statements(folder: Path, experiment: Experiment) -> Counter[str]:
    """Return how many SQL statements a run takes, by their first word."""
    counted = Counter[str]()
    with closing(Store.open(folder)) as store:
        for connection in (store._reader, store._writer):  # pyright: ignore[reportPrivateUsage]
            assert connection is not None
            connection.set_trace_callback(lambda text: counted.update([text.split()[0]]))
        anyio.run(experiment.run_in, store)
    return counted


def test_a_rollout_takes_few_statements_however_many_there_are(tmp_path: Path) -> None:
    few = statements(tmp_path / "few", experiment(4, 8))
    many = statements(tmp_path / "many", experiment(32, 8))
    assert many.total() / 256 < 10
    assert many.total() / 256 < 1.1 * few.total() / 32
    assert many["COMMIT"] < 2.5 * 256


def test_a_choice_that_stands_takes_few_statements_however_many_rollouts_it_rests_on(tmp_path: Path) -> None:
    for n in (2, 32):
        statements(tmp_path / str(n), experiment(8, n))
    few, many = (statements(tmp_path / str(n), experiment(8, n)) for n in (2, 32))
    assert few == many
    assert many.total() < 8 * 4 + 12


@pytest.mark.thorough
def test_every_sample_is_one_request_and_a_race_pays_for_less(tmp_path: Path) -> None:
    def thinking(asked: Asked) -> Says:
        return Says(r"\boxed{42}", thinking_tokens=LENGTHS[asked.index % 8], seconds_per_token=0.002)

    served = dict[str, tuple[int, int]]()
    for strategy in ("vote@8", "short-3@8"):
        with ModelServer(thinking) as server:
            chat = model("openai/m", base_url=server.openai_url)
            asked = Experiment(
                tasks=[Task("t", "What is 6 times 7?")],
                strategies=[strategy],
                agent=ChatAgent(model=chat, answer=answer_form("boxed")),
                workers=8,
            )
            anyio.run(asked.run, tmp_path / strategy).close()
            server.wait_until(lambda s: s.connections_open == 0)
            served[strategy] = (len(server.requests), sum(r.thinking_tokens for r in server.requests))
    assert served["vote@8"] == (8, sum(LENGTHS))
    n_requests, tokens = served["short-3@8"]
    assert n_requests == 8
    assert sum(min(n, sorted(LENGTHS)[2]) for n in LENGTHS) <= tokens < 0.75 * sum(LENGTHS)


@pytest.mark.thorough
def test_memory_follows_what_is_in_flight(tmp_path: Path) -> None:
    async def long(task: Task, attempt: Attempt) -> Rollout:
        for i in range(20):
            attempt.record(Step(observation=f"{task.id} {attempt.index} {i} " * 200))
        return Rollout(answer="x")

    def peak(n_tasks: int) -> int:
        asked = Experiment(
            tasks=[Task(f"t{i}", "x") for i in range(n_tasks)],
            strategies=["vote@8"],
            agent=ScriptedAgent(long, bound=BOUND),
            workers=8,
        )
        tracemalloc.start()
        try:
            anyio.run(asked.run, tmp_path / str(n_tasks)).close()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)
    bytes_of_32_tasks = 32 * 8 * 20 * 200 * len("t0 0 0 ")
    assert peak(64) - peak(32) < 0.2 * bytes_of_32_tasks
