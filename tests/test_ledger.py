"""Effects are shared, cancelled when nobody wants them, kept when they fail, and told once on disk."""

from __future__ import annotations

import gc
import os
from collections.abc import Awaitable, Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tts.errors import Infra, LimitReached, Moved, Refused
from tts.events import Ended, Event, Found, Started
from tts.executors.local import local
from tts.flights import Done
from tts.ledger import Ledger
from tts.protocols import Attempt
from tts.store import Store
from tts.testing import ScriptedAgent, ScriptedSummarizer, opened, strategy_run
from tts.types import Budget, Candidate, Effect, Grade, Rollout, Step, Summary, Task, Usage, Verdict

TASK = Task("t", "a task")
Script = Callable[[Task, Attempt], Awaitable[Rollout]]


def agent(script: Script, **bound: Any) -> ScriptedAgent:
    return ScriptedAgent(script, bound=Budget(**bound))


def effect(index: int = 0, **bound: Any) -> Effect[Rollout]:
    return Effect(
        "rollout", TASK, Rollout, "scripted", occurrence=index, bound=Budget(**{"rollouts": 1, **bound})
    )


class Gate:
    """A scripted agent's insides: counts starts and ends, and goes on when it is let."""

    def __init__(self, *, slow_cleanup: bool = False) -> None:
        self.started = 0
        self.ended = 0
        self.cleaned = 0
        self.running = 0
        self.most = 0
        self.go = anyio.Event()
        self.clean = anyio.Event()
        self.slow_cleanup = slow_cleanup

    async def __call__(self, task: Task, attempt: Attempt) -> Rollout:
        self.started += 1
        self.running += 1
        self.most = max(self.most, self.running)
        attempt.record(Step(action="begin", usage=Usage(1, output_tokens=5, known_usd=0.5)))
        try:
            await self.go.wait()
            self.ended += 1
            return Rollout(answer=str(attempt.index))
        finally:
            with anyio.CancelScope(shield=True):
                if self.slow_cleanup and not self.go.is_set():
                    await self.clean.wait()
            self.running -= 1
            self.cleaned += 1


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not condition():
            await anyio.lowlevel.checkpoint()


def cancellable(
    group: anyio.abc.TaskGroup, ledger: Ledger, effects: Sequence[Effect[Any]], told: list[Any]
) -> anyio.CancelScope:
    scope = anyio.CancelScope()

    async def ask() -> None:
        with scope:
            told.append(await ledger.do(effects))

    group.start_soon(ask)
    return scope


def test_those_who_want_the_same_at_the_same_moment_share_one_flight() -> None:
    async def main() -> None:
        gate, told = Gate(), list[Any]()
        async with opened(agent=agent(gate)) as ledger, anyio.create_task_group() as group:
            for _ in range(5):
                cancellable(group, ledger, [effect()], told)
            await until(lambda: gate.started == 1)
            await anyio.wait_all_tasks_blocked()
            gate.go.set()
            await until(lambda: len(told) == 5)
            assert gate.started == 1
            assert {done.result.answer for (done,) in told} == {"0"}
            (again,) = await ledger.do([effect()])
            assert again.result is not None
            assert gate.started == 1
            assert ledger.in_flight == 0

    anyio.run(main)


def test_a_flight_is_cancelled_only_when_nobody_waits_any_more() -> None:
    async def main() -> None:
        gate, told = Gate(), list[Any]()
        async with opened(agent=agent(gate)) as ledger, anyio.create_task_group() as group:
            race, vote = (cancellable(group, ledger, [effect()], told) for _ in range(2))
            await until(lambda: gate.started == 1)
            race.cancel()
            await anyio.wait_all_tasks_blocked()
            assert gate.cleaned == 0
            vote.cancel()
            await until(lambda: gate.cleaned == 1)
            await until(lambda: ledger.in_flight == 0)
            assert told == []
            partial = ledger.store.partial(effect().key)
            assert partial is not None
            assert (partial.status, partial.usage.output_tokens, partial.n_steps) == ("cancelled", 5, 1)
            assert [step.action for step in ledger.store.steps(effect().key)] == ["begin"]

    anyio.run(main)


def test_wanted_again_while_it_is_still_cleaning_up_it_waits_and_then_runs_again() -> None:
    async def main() -> None:
        gate, told = Gate(slow_cleanup=True), list[Any]()
        async with opened(agent=agent(gate, usd=9)) as ledger, anyio.create_task_group() as group:
            first = cancellable(group, ledger, [effect(usd=9)], told)
            await until(lambda: gate.started == 1)
            first.cancel()
            await anyio.wait_all_tasks_blocked()
            cancellable(group, ledger, [effect(usd=9)], told)
            await anyio.wait_all_tasks_blocked()
            assert (gate.started, told) == (1, [])
            gate.clean.set()
            await until(lambda: gate.started == 2)
            gate.go.set()
            await until(lambda: len(told) == 1)
            assert gate.most == 1
            assert ledger.bill[0] == 1.0  # half a dollar was paid twice
            assert ledger.bill[3] == 2.0
            counts = ledger.store.counts()
            assert (
                counts["rollout", "scripted", "cancelled"] == counts["rollout", "scripted", "finished"] == 1
            )

    anyio.run(main)


def test_cancelled_wanted_and_cancelled_again_it_still_never_runs_twice_at_once() -> None:
    async def main() -> None:
        gate, told = Gate(slow_cleanup=True), list[Any]()
        async with opened(agent=agent(gate)) as ledger, anyio.create_task_group() as group:
            first = cancellable(group, ledger, [effect()], told)
            await until(lambda: gate.started == 1)
            first.cancel()
            await anyio.wait_all_tasks_blocked()
            second = cancellable(group, ledger, [effect()], told)
            await anyio.wait_all_tasks_blocked()
            second.cancel()
            await anyio.wait_all_tasks_blocked()
            cancellable(group, ledger, [effect()], told)
            await anyio.wait_all_tasks_blocked()
            assert gate.started == 1
            gate.clean.set()
            gate.go.set()
            await until(lambda: len(told) == 1)
            assert (gate.started, gate.most) == (2, 1)
            assert ledger.in_flight == 0

    anyio.run(main)


def test_a_flight_that_ends_although_it_was_cancelled_serves_the_next_asker() -> None:
    async def main() -> None:
        go, told, starts = anyio.Event(), list[Any](), list[int]()

        async def stubborn(task: Task, attempt: Attempt) -> Rollout:
            starts.append(attempt.index)
            with anyio.CancelScope(shield=True):
                await go.wait()
            return Rollout(answer="done all the same")

        async with opened(agent=agent(stubborn)) as ledger, anyio.create_task_group() as group:
            first = cancellable(group, ledger, [effect()], told)
            await until(lambda: bool(starts))
            first.cancel()
            await anyio.wait_all_tasks_blocked()
            cancellable(group, ledger, [effect()], told)
            await anyio.wait_all_tasks_blocked()
            go.set()
            await until(lambda: bool(told))
            assert told[0][0].result.answer == "done all the same"
            assert starts == [0]
            assert ledger.in_flight == 0

    anyio.run(main)


def test_one_effect_named_twice_in_one_question_runs_once() -> None:
    async def main() -> None:
        gate = Gate()
        gate.go.set()
        async with opened(agent=agent(gate)) as ledger:
            one, two = await ledger.do([effect(), effect()])
        assert one == two
        assert gate.started == 1

    anyio.run(main)


def test_random_askers_that_give_up_at_random_never_repeat_a_result(tmp_path: Path) -> None:
    async def main(seed: int) -> None:
        from random import Random

        rng, running, results = Random(seed), set[int](), list[int]()

        async def wander(task: Task, attempt: Attempt) -> Rollout:
            assert attempt.index not in running
            running.add(attempt.index)
            try:
                for _ in range(rng.randint(0, 6)):
                    await anyio.lowlevel.checkpoint()
                results.append(attempt.index)
                return Rollout(answer=str(attempt.index))
            finally:
                running.discard(attempt.index)

        folder = tmp_path / str(seed)
        async with opened(agent=agent(wander), folder=folder) as ledger:

            async def ask(index: int, patience: int) -> None:
                scope = anyio.CancelScope()

                async def give_up() -> None:
                    for _ in range(patience):
                        await anyio.lowlevel.checkpoint()
                    scope.cancel()

                async with anyio.create_task_group() as inner:
                    inner.start_soon(give_up)
                    with scope:
                        (done,) = await ledger.do([effect(index)])
                        assert done.result is not None
                        assert done.result.answer == str(index)

            async with anyio.create_task_group() as group:
                for _ in range(30):
                    group.start_soon(ask, rng.randint(0, 2), rng.choice((0, 3, 20, 400, 2000)))
                    await anyio.lowlevel.checkpoint()
            stored = [r.occurrence for r in ledger.store.records() if r.result is not None]
            assert sorted(stored) == sorted(set(stored))
            assert ledger.in_flight == 0

    for seed in range(12):
        anyio.run(main, seed)


def test_who_follows_one_that_gave_up_waits_for_whom_that_one_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        begun, release, n_begun = anyio.Event(), anyio.Event(), list[int]()

        async def slow_to_go(task: Task, attempt: Attempt) -> Rollout:
            n_begun.append(attempt.index)
            begun.set()
            with anyio.CancelScope(shield=True):  # it was cancelled, and comes to a result all the same
                await release.wait()
            return Rollout(answer="42")

        async with opened(agent=agent(slow_to_go), folder=tmp_path) as ledger:
            (first,) = ledger.join([effect()])
            await begun.wait()
            ledger.unwant(first)
            (second,) = ledger.join([effect()])
            for _ in range(10):
                await anyio.lowlevel.checkpoint()
            ledger.unwant(second)
            (third,) = ledger.join([effect()])
            for _ in range(30):
                await anyio.lowlevel.checkpoint()
            assert len(n_begun) == 1
            release.set()
            await third.ended.wait()
            assert third.done is not None
            assert third.done.result is not None
            ledger.unwant(third)
        assert len(n_begun) == 1

    anyio.run(main)


def test_an_end_is_on_disk_before_anyone_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        seen: list[str] = []

        def listen(event: Event) -> None:
            if isinstance(event, Ended):
                with_reader = Store.read(tmp_path)
                seen.extend(r.status for r in with_reader.records() if r.result is not None)
                with_reader.close()

        async with opened(folder=tmp_path, agent=agent(Gate()), listeners=[listen]) as ledger:
            flight, gate = None, Gate()
            gate.go.set()
            ledger._executor = local(agent(gate))
            (flight,) = ledger.join([effect()])
            flight.listeners.append(lambda: seen.append("told"))
            await flight.ended.wait()
        assert seen == ["finished", "told"]

    anyio.run(main)


def one_rollout(script: Script, **bound: Any) -> tuple[Done[Rollout], Done[Rollout], Store, list[Event]]:
    """Ask for the same rollout twice; return both answers, the store (left open) and the events."""
    import tempfile

    async def main() -> tuple[Done[Rollout], Done[Rollout], Store, list[Event]]:
        events: list[Event] = []
        folder = Path(tempfile.mkdtemp())
        async with opened(agent=agent(script, **bound), folder=folder, listeners=[events.append]) as ledger:
            (one,) = await ledger.do([effect(**bound)])
            (two,) = await ledger.do([effect(**bound)])
        return one, two, Store.read(folder), events

    return anyio.run(main)


STEP = Step("think", "act", "see", usage=Usage(1, output_tokens=3, known_usd=0.25))


def kept(store: Store) -> list[tuple[str, int, int]]:
    return [(r.status, r.n_steps, r.usage.output_tokens) for r in store.records()]


@pytest.mark.parametrize(
    "error", [ValueError("no idea"), SystemExit(3), ExceptionGroup("two", [KeyError("a"), Infra("b")])]
)
def test_an_agent_that_raises_leaves_a_failed_rollout_with_its_steps_and_is_not_asked_again(
    error: BaseException,
) -> None:
    async def script(task: Task, attempt: Attempt) -> Rollout:
        attempt.record(STEP)
        raise error

    one, two, store, events = one_rollout(script)
    assert one.result is not None
    assert one.result == two.result
    assert one.result.status == "failed"
    assert type(error).__name__ in one.result.error
    assert kept(store) == [("failed", 1, 3)]
    assert store.steps(effect().key) == (STEP,)
    assert [type(e) for e in events] == [Started, Ended, Found]
    store.close()


@pytest.mark.parametrize(
    "error", [Infra("the provider is down"), ConnectionError(), ExceptionGroup("in a group", [Infra("x")])]
)
def test_an_infrastructure_failure_is_kept_but_is_no_result(error: Exception) -> None:
    async def script(task: Task, attempt: Attempt) -> Rollout:
        attempt.record(STEP)
        raise error

    one, two, store, _ = one_rollout(script)
    assert isinstance(one.error, Infra)
    assert isinstance(two.error, Infra)
    assert kept(store) == [("infra", 1, 3)] * 2
    assert store.find(effect().key) is None
    store.close()


def test_a_time_out_leaves_a_rollout_at_its_limit_with_partial_steps() -> None:
    async def script(task: Task, attempt: Attempt) -> Rollout:
        attempt.record(STEP)
        await anyio.sleep_forever()
        raise AssertionError

    one, _, store, _ = one_rollout(script, seconds=0.05)
    assert one.result is not None
    assert one.result.status == "limit"
    assert "0.05 seconds" in one.result.error
    assert kept(store) == [("limit", 1, 3)]
    store.close()


@pytest.mark.parametrize("in_group", [False, True])
def test_spending_past_the_bound_ends_the_attempt_at_its_limit(in_group: bool) -> None:
    async def spend(attempt: Attempt) -> None:
        for _ in range(10):
            attempt.record(STEP)

    async def script(task: Task, attempt: Attempt) -> Rollout:
        if not in_group:
            await spend(attempt)
        async with anyio.create_task_group() as group:
            group.start_soon(spend, attempt)
        raise AssertionError

    one, _, store, _ = one_rollout(script, usd=0.6)
    assert one.result is not None
    assert one.result.status == "limit"
    assert one.result.usage.known_usd == 0.75
    assert kept(store) == [("limit", 3, 9)]
    store.close()


@pytest.mark.parametrize(
    "given",
    [
        Rollout(answer=42),  # type: ignore[arg-type]
        Rollout(status="splendid"),  # type: ignore[arg-type]
        Rollout(usage=Usage(known_usd=float("nan"))),
        Rollout(usage=Usage(known_usd=-5.0)),
        "text",
        None,
    ],
    ids=["number", "status", "nan", "refund", "text", "none"],
)
def test_a_rollout_that_cannot_be_kept_is_the_agent_s_failure_and_harms_nobody(given: Any) -> None:
    async def script(task: Task, attempt: Attempt) -> Rollout:
        attempt.record(STEP)
        return given

    one, _, store, _ = one_rollout(script)
    assert one.result is not None
    assert one.result.status == "failed"
    assert kept(store) == [("failed", 1, 3)]
    assert store.charged()[0] == 0.25
    store.close()


def test_a_step_that_cannot_be_kept_is_the_agent_s_failure_too() -> None:
    async def script(task: Task, attempt: Attempt) -> Rollout:
        attempt.record(Step(observation=b"\xff"))  # type: ignore[arg-type]
        raise AssertionError

    one, _, store, _ = one_rollout(script)
    assert one.result is not None
    assert "observation is text, not bytes" in one.result.error
    store.close()


class Odd(Fraction):
    """A number as another library's are: not Python's own, and not for JSON or SQLite."""

    def __index__(self) -> int:
        return int(self)


def test_numbers_of_other_libraries_are_stored_as_python_s_own() -> None:
    async def script(task: Task, attempt: Attempt) -> Rollout:
        odd: Any = Odd(3)
        attempt.record(Step(returncode=odd, usage=Usage(1, odd, estimated=True), seconds=odd, at=odd))
        attempt.spend(Usage(output_tokens=odd, known_usd=odd))
        attempt.progress(odd, signals={"passed": odd})
        return Rollout(answer="a", length=odd, signals={"passed": odd}, usage=Usage(input_tokens=odd))

    one, two, store, _ = one_rollout(script)
    assert one.result is not None
    assert one.result == two.result
    assert (one.result.status, one.result.length, one.result.signals) == ("finished", 3.0, {"passed": 3.0})
    assert one.result.usage == Usage(1, 6, output_tokens=3, known_usd=3.0, estimated=True)
    assert kept(store) == [("finished", 1, 3)]
    assert store.steps(one.result.key)[0].returncode == 3
    store.close()


@pytest.mark.parametrize("given", ["many", 2.5, None])
def test_a_count_that_is_no_whole_number_is_the_agent_s_failure(given: Any) -> None:
    async def script(task: Task, attempt: Attempt) -> Rollout:
        return Rollout(usage=Usage(input_tokens=given))

    one, _, store, _ = one_rollout(script)
    assert one.result is not None
    assert one.result.status == "failed"
    store.close()


def test_numbers_that_json_cannot_hold_leave_the_signals() -> None:
    async def script(task: Task, attempt: Attempt) -> Rollout:
        return Rollout(answer="a", length=float("inf"), signals={"logprob": float("-inf"), "passed": 1.0})

    one, two, store, _ = one_rollout(script)
    assert one.result is not None
    assert one.result == two.result
    assert (one.result.length, dict(one.result.signals)) == (None, {"passed": 1.0})
    store.close()


def test_a_failure_does_not_harm_its_siblings() -> None:
    async def script(task: Task, attempt: Attempt) -> Rollout:
        await anyio.lowlevel.checkpoint()
        if attempt.index == 1:
            raise ValueError
        if attempt.index == 2:
            raise Infra("down")
        return Rollout(answer=str(attempt.index))

    async def main() -> None:
        async with opened(agent=agent(script)) as ledger:
            run = strategy_run(ledger, agent=agent(script))
            rollouts = await run.scope().sample(5)
        assert [r.status for r in rollouts] == ["finished", "failed", "finished", "finished"]
        assert [r.index for r in rollouts] == [0, 1, 3, 4]
        assert run.refusals == ["infrastructure: Infra: down"]

    anyio.run(main)


class Broken:
    """A summarizer, judge and grader that fails in the way it is told."""

    fingerprint = "broken"

    def __init__(self, given: object) -> None:
        self.given = given

    def _give(self) -> Any:
        if isinstance(self.given, Exception):
            raise self.given
        return self.given

    async def summarize(self, task: Task, rollout: Rollout, steps: Sequence[Step]) -> Summary:
        return self._give()

    async def compare(self, task: Task, shown: Sequence[Candidate], *, n: int = 1) -> list[Verdict]:
        return self._give()

    async def grade(self, task: Task, rollout: Rollout) -> Grade:
        return self._give()


@pytest.mark.parametrize("given", [ValueError("no idea"), None, True, [None]], ids=repr)
def test_a_judge_summarizer_or_grader_that_fails_is_kept_as_a_failure(given: object, tmp_path: Path) -> None:
    broken = Broken(given)

    async def main() -> None:
        store = Store.open(tmp_path)
        executor = local(
            ScriptedAgent(bound=Budget()), summarizer=ScriptedSummarizer(), judge=broken, grader=broken
        )
        async with Ledger(store, executor) as ledger:
            run = strategy_run(ledger, agent=ScriptedAgent(bound=Budget()), judge=broken)
            rollouts = await run.scope().sample(2)
            (tally,) = await run.scope().compare([rollouts], votes=2)
            assert set(tally.votes.values()) == {0}
            assert [v.status for v in tally.verdicts] == ["failed", "failed"]
            grading = Effect("grade", TASK, Grade, "broken", (rollouts[0].key,))
            (grade,) = await ledger.do([grading])
            assert grade.result is None  # a broken grader says nothing of the rollout, and is asked again
            assert isinstance(grade.error, Infra)
            ledger._executor = local(ScriptedAgent(), summarizer=broken)
            other = strategy_run(ledger, agent=ScriptedAgent(bound=Budget()), summarizer=broken)
            summary = await other.scope().summarize(rollouts[0])
            assert (summary.status, summary.claims, summary.rollout) == ("failed", (), rollouts[0].key)
            assert "failed" in summary.render()
        store.close()

    anyio.run(main)


def test_stop_starts_nothing_new_serves_what_is_stored_and_lets_what_is_under_way_end() -> None:
    async def main() -> None:
        gate, told = Gate(), list[Any]()
        async with opened(agent=agent(gate)) as ledger, anyio.create_task_group() as group:
            for i in range(6):  # four slots: two wait for one
                cancellable(group, ledger, [effect(i)], told)
            await until(lambda: gate.started == 4)
            ledger.stop("enough")
            cancellable(group, ledger, [effect(9)], told)
            await until(lambda: len(told) == 1)
            assert isinstance(told[0][0].error, Refused)
            gate.go.set()
            await until(lambda: len(told) == 7)
            assert sum(done.result is not None for (done,) in told) == 4
            assert gate.started == 4
            (stored,) = await ledger.do([effect(0)])
            assert stored.result is not None

    anyio.run(main)


def test_cancel_ends_what_is_under_way_and_what_waits_for_budget_and_for_slots() -> None:
    async def main() -> None:
        gate, told = Gate(), list[Any]()
        limit = Budget(usd=6)
        async with (
            opened(agent=agent(gate, usd=1), budget=limit) as ledger,
            anyio.create_task_group() as group,
        ):
            for i in range(8):
                cancellable(group, ledger, [effect(i, usd=1, tokens=9, seconds=60)], told)
            await until(lambda: gate.started == 4)
            await anyio.wait_all_tasks_blocked()
            ledger.stop("enough")
            ledger.cancel()
            await until(lambda: len(told) == 8)
            assert all(isinstance(done.error, Refused) for (done,) in told)
            assert gate.cleaned == gate.started == 4
            assert ledger._bill._held == []

    anyio.run(main)


def test_an_agent_s_own_cancellation_is_not_the_end_of_the_run() -> None:
    async def script(task: Task, attempt: Attempt) -> Rollout:
        raise anyio.get_cancelled_exc_class()

    one, two, store, _ = one_rollout(script)
    assert isinstance(one.error, Infra)
    assert isinstance(two.error, Infra)
    assert {status for status, *_ in kept(store)} == {"infra"}
    store.close()


def test_a_stored_trajectory_does_not_stay_in_memory() -> None:
    async def script(task: Task, attempt: Attempt) -> Rollout:
        for i in range(20):
            attempt.record(Step(observation=f"{task.id} {attempt.index} {i} " + "x" * 10_000))
        attempt.progress(float(attempt.index))
        return Rollout(answer="a", length=float(attempt.index))

    async def main() -> tuple[int, int]:
        async with opened(agent=agent(script)) as ledger:
            run = strategy_run(ledger, agent=agent(script))
            async with run.scope().lanes(50) as lanes:
                while await lanes.changed():
                    pass
                gc.collect()
                in_race = sum(isinstance(o, Step) for o in gc.get_objects())
            rollouts = await run.scope().sample(50)
            await run.scope().compare([rollouts[:2]], votes=2)
            gc.collect()
            return in_race, sum(isinstance(o, Step) for o in gc.get_objects())

    in_race, after = anyio.run(main)
    assert in_race < 200  # of a thousand
    assert after < 100


def test_an_executor_that_returns_too_few_results_is_an_infrastructure_failure() -> None:
    class Short:
        async def perform(self, effects: Sequence[Effect[Any]], work: Any) -> list[Any]:
            return []

    async def main() -> None:
        async with opened() as ledger:
            ledger._executor = Short()  # type: ignore[assignment]
            (done,) = await ledger.do([effect()])
            assert isinstance(done.error, Infra)

    anyio.run(main)


@pytest.mark.parametrize(("begun", "charged"), [(True, 9.0), (False, 0.0)])
def test_what_a_machine_takes_away_with_it_is_charged_at_its_bound(begun: bool, charged: float) -> None:
    class Fragile:
        async def perform(self, effects: Sequence[Effect[Any]], work: Any) -> list[Any]:
            work.progress(50.0, thought=True)
            raise Moved("gone", begun=begun)

    async def main() -> None:
        async with opened() as ledger:
            ledger._executor = Fragile()  # type: ignore[assignment]
            (done,) = await ledger.do([effect(usd=9.0)])
            assert isinstance(done.error, Infra)
            assert ledger.bill[0] == 4 * charged
            assert [r.status for r in ledger.store.records()] == ["infra"] * 4

    anyio.run(main)


def test_how_far_an_effect_came_on_a_machine_that_went_away_is_forgotten() -> None:
    seen: list[tuple[float | None, bool]] = []

    class Fragile:
        async def perform(self, effects: Sequence[Effect[Any]], work: Any) -> list[Any]:
            seen.append((work.flight.length, work.flight.thought))
            if len(seen) == 1:
                work.progress(50.0, thought=True)
                raise Moved("gone")
            return [Rollout(answer="42")]

    async def main() -> None:
        async with opened() as ledger:
            ledger._executor = Fragile()  # type: ignore[assignment]
            (done,) = await ledger.do([effect()])
            assert (done.error, done.length) == (None, None)
            assert [r.length for r in ledger.store.records()] == [50.0, None]

    anyio.run(main)
    assert seen == [(None, False), (None, False)]


def test_waiting_costs_no_processor_time() -> None:
    async def main() -> None:
        gate, told = Gate(), list[Any]()
        async with opened(agent=agent(gate)) as ledger, anyio.create_task_group() as group:
            run = strategy_run(ledger, agent=agent(gate))
            async with run.scope().lanes(6) as lanes:
                cancellable(group, ledger, [effect(0)], told)
                group.start_soon(lanes.changed)
                await until(lambda: gate.started == 4)
                await anyio.wait_all_tasks_blocked()
                before = os.times()
                with anyio.move_on_after(0.2):
                    await anyio.sleep_forever()
                after = os.times()
                gate.go.set()
            assert after.user + after.system - before.user - before.system < 0.1

    anyio.run(main)


def test_an_attempt_that_goes_on_after_its_end_is_stopped() -> None:
    async def main() -> None:
        lent: list[Attempt] = []

        async def script(task: Task, attempt: Attempt) -> Rollout:
            lent.append(attempt)
            return Rollout(answer="a")

        async with opened(agent=agent(script)) as ledger:
            await ledger.do([effect()])
            with pytest.raises(LimitReached):
                lent[0].record(STEP)
            with pytest.raises(LimitReached):
                lent[0].progress(1.0)

    anyio.run(main)
