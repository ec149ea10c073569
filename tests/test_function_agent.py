"""Plain functions are agents: sync or async, one or two parameters, text or a Rollout."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from tts_strategies.race import Race

from tts.agents.function import agent, as_agent, fingerprint_of
from tts.course import choose
from tts.errors import LimitReached, UsageError
from tts.experiment import strategy_of
from tts.protocols import Agent, Attempt
from tts.testing import opened, strategy_run
from tts.types import Budget, Rollout, Step, Task, Usage


def shout(task: Task) -> str:
    return task.prompt.upper()


async def whisper(task: Task, attempt: Attempt) -> Rollout:
    await anyio.lowlevel.checkpoint()
    attempt.record(Step(action="whisper", usage=Usage(1, output_tokens=2)))
    return Rollout(answer=f"{task.id} {attempt.index}", length=2.0)


async def murmur(task: Task) -> str:
    await anyio.lowlevel.checkpoint()
    return task.id


def mumble(task: Task, attempt: Attempt) -> Rollout:
    attempt.record(Step(action="mumble"))
    attempt.progress(3.0)
    return Rollout(answer="mm")


class Speaker:
    async def __call__(self, task: Task) -> str:
        return "an object with an async call"


def sampled(function: Any, n: int = 1, **bound: Any) -> list[Rollout]:
    performer = agent(version="1", bound=Budget(**bound))(function)

    async def main() -> list[Rollout]:
        async with opened(agent=performer) as ledger:
            return await strategy_run(ledger, agent=performer).scope().sample(n)

    return anyio.run(main)


@pytest.mark.parametrize(
    ("function", "answer", "n_steps", "length"),
    [
        (shout, "SAY HOW MANY ATTEMPTS IT TAKES.", 0, None),
        (whisper, "task-1 0", 1, 2.0),
        (murmur, "task-1", 0, None),
        (mumble, "mm", 1, 3.0),
        (Speaker(), "an object with an async call", 0, None),
        (lambda task: "from a lambda", "from a lambda", 0, None),
    ],
)
def test_functions_of_every_shape_are_agents(
    function: Callable[..., Any], answer: str, n_steps: int, length: float | None
) -> None:
    (rollout,) = sampled(function)
    assert (rollout.answer, rollout.n_steps, rollout.length) == (answer, n_steps, length)
    assert rollout.status == "finished"


def test_a_function_that_returns_something_else_or_raises_has_failed() -> None:
    def number(task: Task) -> Any:
        return 42

    def angry(task: Task) -> str:
        raise RuntimeError("no")

    (wrong,), (raised,) = sampled(number), sampled(angry)
    assert (wrong.status, wrong.error) == ("failed", "TypeError: an agent returns text or a Rollout, not int")
    assert (raised.status, raised.error) == ("failed", "RuntimeError: no")


def test_a_fingerprint_is_the_name_with_the_source_or_the_version() -> None:
    assert fingerprint_of(shout).startswith("function:shout#")
    assert fingerprint_of(shout) == agent(shout).fingerprint
    assert fingerprint_of(shout, "2") == "function:shout@2"
    assert fingerprint_of(shout) != fingerprint_of(mumble)


def test_a_fingerprint_changes_with_the_source(tmp_path: Path) -> None:
    def loaded(answer: str) -> Callable[..., Any]:
        path = tmp_path / f"{answer}.py"
        path.write_text(f"def solve(task):\n    return {answer!r}\n")
        names: dict[str, Any] = {}
        exec(compile(path.read_text(), str(path), "exec"), names)
        found: Callable[..., Any] = names["solve"]
        return found

    one, two = agent(loaded("one")), agent(loaded("two"))
    assert one.fingerprint != two.fingerprint
    assert agent(loaded("one")).fingerprint == one.fingerprint


def test_a_closure_and_a_function_without_source_must_name_a_version() -> None:
    secret = "x"

    def closed(task: Task) -> str:
        return secret

    names: dict[str, Any] = {}
    exec("def typed(task): return 'x'", names)
    for function in (closed, names["typed"]):
        with pytest.raises(UsageError, match="give it a version"):
            agent(function)
        assert agent(version="3")(function).fingerprint.endswith("@3")


def test_an_agent_stays_as_it_is_and_a_function_becomes_one() -> None:
    made = agent(shout)
    assert as_agent(made) is made
    assert isinstance(as_agent(shout), Agent)


def test_a_function_in_a_thread_can_lose_a_race_and_is_stopped_at_its_next_step() -> None:
    stopped: list[type[BaseException]] = []
    all_stopped = threading.Event()
    deadline = time.monotonic() + 30

    def run(task: Task, attempt: Attempt) -> Rollout:
        if attempt.index == 0:
            return Rollout(answer="first", length=1.0)
        try:
            while time.monotonic() < deadline:
                attempt.record(Step(action="on and on"))
                attempt.progress(2.0)
        except BaseException as error:
            stopped.append(type(error))
            raise
        finally:
            if len(stopped) == 3:
                all_stopped.set()
        raise AssertionError

    performer = agent(version="1")(run)

    async def main() -> float:
        async with opened(agent=performer) as ledger:
            work = strategy_run(ledger, agent=performer)
            choice = await choose(work, strategy_of(Race(4, 1)))
            assert len(choice.pool) == 1
            cancelled = [r for r in ledger.store.records() if r.status == "cancelled"]
            assert len(cancelled) == 3
            assert all(r.n_steps > 0 for r in cancelled)
        return time.monotonic()

    assert anyio.run(main) < deadline
    assert all_stopped.wait(20)
    assert set(stopped) == {LimitReached}


def test_a_function_in_a_thread_ends_at_its_time_limit() -> None:
    go = threading.Event()

    def sleepy(task: Task) -> str:
        go.wait(20)
        return "too late"

    (rollout,) = sampled(sleepy, seconds=0.05)
    go.set()
    assert (rollout.status, rollout.answer) == ("limit", None)


def test_abandoned_threads_do_not_use_up_the_places_of_those_that_follow() -> None:
    go = threading.Event()

    def slow(task: Task, attempt: Attempt) -> str:
        if attempt.index < 45:  # more than the threads that anyio shares out
            go.wait(30)
        return "done"

    performer = agent(version="1", bound=Budget(seconds=0.2))(slow)

    async def main() -> list[Rollout]:
        async with opened(agent=performer) as ledger:
            ledger._slots["rollout"] = anyio.CapacityLimiter(45)
            return await strategy_run(ledger, agent=performer).scope().sample(48)

    rollouts = anyio.run(main)
    go.set()
    assert [r.status for r in rollouts] == ["limit"] * 45 + ["finished"] * 3


MODEL = "small"


def uses_a_global(task: Task) -> str:
    return MODEL


def test_a_fingerprint_sees_defaults_and_plain_globals_and_asks_for_a_version_where_it_is_blind() -> None:
    global MODEL
    before = fingerprint_of(uses_a_global)
    MODEL = "large"
    assert fingerprint_of(uses_a_global) != before

    def with_default(task: Task, model: str = "small") -> str:
        return model

    one = fingerprint_of(with_default)
    with_default.__defaults__ = ("large",)
    assert fingerprint_of(with_default) != one
    with_default.__defaults__ = (object(),)
    with pytest.raises(UsageError, match="version"):
        fingerprint_of(with_default)
    with pytest.raises(UsageError, match="version"):
        fingerprint_of(Task("t", "x").__repr__)
