"""A race goes by length: its winners depend on the rollouts; losers are stopped and cost what they ran."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest
from tts_strategies.race import Race
from tts_strategies.sample import Sample

from tts.course import choose
from tts.experiment import strategy_of
from tts.pipeline import Pipeline
from tts.protocols import Attempt
from tts.run import Choice
from tts.store import Store
from tts.testing import ScriptedAgent, opened, strategy_run
from tts.types import Budget, Rollout, Step, Task, Usage

HOUR = 3600.0
TOKEN = Usage(1, output_tokens=1, known_usd=1.0)


@dataclass
class Runner:
    """Agents that think one token a turn; `lengths` says how long, `speed` how many turns a token takes."""

    lengths: Sequence[int]
    speed: Sequence[int] = ()
    failing: frozenset[int] = frozenset()
    silent: bool = False
    started: list[int] = field(default_factory=list)

    async def __call__(self, task: Task, attempt: Attempt) -> Rollout:
        self.started.append(attempt.index)
        length = self.lengths[attempt.index]
        for token in range(1, length + 1):
            for _ in range(self.speed[attempt.index] if self.speed else 1):
                await anyio.lowlevel.checkpoint()
            attempt.record(Step(action=str(token), usage=TOKEN))
            if not self.silent:
                attempt.progress(float(token))
        if attempt.index in self.failing:
            raise ValueError("no answer")
        return Rollout(answer=str(attempt.index), length=None if self.silent else float(length))

    @property
    def agent(self) -> ScriptedAgent:
        return ScriptedAgent(self, bound=Budget())


def raced(runner: Runner, stage: Any, folder: Path | None = None, **budget: Any) -> Choice:
    async def main() -> Choice:
        async with opened(agent=runner.agent, folder=folder) as ledger:
            # as many slots as lanes: the machine does not order them
            ledger._slots["rollout"] = anyio.CapacityLimiter(32)
            work = strategy_run(ledger, agent=runner.agent, budget=Budget(**budget))
            return await choose(work, strategy_of(stage))

    return anyio.run(main)


def indices(choice: Choice, folder: Path) -> list[int]:
    with_reader = Store.read(folder)
    found = {r.key: r.occurrence for r in with_reader.records(kind="rollout")}
    with_reader.close()
    return [found[key] for key in choice.pool]


@pytest.mark.parametrize("halt", ["length", "arrival"])
@pytest.mark.parametrize("reports", [True, False])
def test_the_losers_clean_up_within_a_tenth_of_a_second_of_the_m_th_finish(
    halt: Literal["length", "arrival"], reports: bool
) -> None:
    finished: list[float] = []
    cleaned: list[float] = []

    async def script(task: Task, attempt: Attempt) -> Rollout:
        try:
            if attempt.index < 3:
                for _ in range(attempt.index * 5 + 1):
                    await anyio.lowlevel.checkpoint()
                finished.append(time.monotonic())
                return Rollout(answer="a", length=10.0 + attempt.index if reports else None)
            if reports:
                attempt.progress(11.5)
            with anyio.move_on_after(HOUR):
                while True:
                    await anyio.sleep(0.02)
                    if reports:
                        attempt.progress(50.0)
            raise AssertionError
        finally:
            if attempt.index >= 3:
                cleaned.append(time.monotonic())

    agent = ScriptedAgent(script, bound=Budget())

    async def main() -> None:
        async with opened(agent=agent) as ledger:
            ledger._slots["rollout"] = anyio.CapacityLimiter(8)
            work = strategy_run(ledger, agent=agent)
            choice = await choose(work, strategy_of(Race(8, 3, halt)))
            assert (len(choice.pool), choice.incomplete) == (3, False)
            assert len(cleaned) == 5
            assert ledger.in_flight == 0

    anyio.run(main)
    assert max(cleaned) - sorted(finished)[2] < 0.1


@pytest.mark.parametrize("seed", range(25))
def test_the_winners_are_the_shortest_whatever_the_speeds_and_equal_a_replay(
    seed: int, tmp_path: Path
) -> None:
    rng = Random(seed)
    lengths = [rng.randint(1, 12) for _ in range(8)]
    m = rng.randint(1, 5)
    failing = frozenset(i for i in range(8) if rng.random() < 0.15)
    right = sorted((i for i in range(8) if i not in failing), key=lambda i: (lengths[i], i))[:m]
    told = []
    for way in range(3):
        folder = tmp_path / str(way)
        runner = Runner(lengths, [rng.randint(1, 8) for _ in lengths], failing)
        choice = raced(runner, Race(8, m), folder)
        assert indices(choice, folder) == right
        before = list(runner.started)
        again = raced(runner, Race(8, m), folder)
        assert again.pool == choice.pool
        assert runner.started == before  # replayed from the store: lanes known to be longer stay down
        told.append((choice.pool, again.spending.usage, choice.spending.usage))
        assert again.spending.usage == choice.spending.usage
    assert len({pool for pool, *_ in told}) == 1


def test_a_cut_lane_costs_what_it_ran_up_to_the_m_th_length_even_if_cut_before_that_was_known(
    tmp_path: Path,
) -> None:
    # Lane 0 ends first with 9 tokens and cuts lane 1; lane 2 is slow, ends with 3, and sets the limit.
    runner = Runner([9, 30, 3], speed=[1, 1, 8])
    choice = raced(runner, Race(3, 1), tmp_path)
    assert indices(choice, tmp_path) == [2]
    assert choice.spending.usage.known_usd == pytest.approx(9.0)  # three lanes, three tokens each
    assert choice.spending.rollouts == 3


def test_stored_longer_rollouts_count_as_cut_at_the_m_th_length(tmp_path: Path) -> None:
    runner = Runner([4, 8, 2, 16])
    raced(runner, Sample(4), tmp_path)
    choice = raced(runner, Race(4, 2), tmp_path)
    assert indices(choice, tmp_path) == [2, 0]
    assert choice.spending.usage.known_usd == pytest.approx(4 + 4 + 2 + 4)
    assert runner.started == [0, 1, 2, 3]


def test_a_lane_cut_by_a_shorter_race_is_started_again_only_where_it_is_needed(tmp_path: Path) -> None:
    runner = Runner([2, 6, 9, 30])
    raced(runner, Race(4, 1), tmp_path)
    assert sorted(runner.started) == [0, 1, 2, 3]
    choice = raced(runner, Race(4, 2), tmp_path)
    assert indices(choice, tmp_path) == [0, 1]
    assert runner.started[4:].count(0) == 0
    raced(runner, Sample(4), tmp_path)
    assert len([s for s in statuses(tmp_path) if s == "finished"]) == 4


def statuses(folder: Path) -> list[str]:
    store = Store.read(folder)
    found = [r.status for r in store.records(kind="rollout")]
    store.close()
    return found


def test_a_race_never_cuts_what_a_vote_waits_for(tmp_path: Path) -> None:
    runner = Runner([2, 20, 20, 20])

    async def main() -> tuple[Choice, ...]:
        async with opened(agent=runner.agent, folder=tmp_path) as ledger:
            told: dict[int, Choice] = {}

            async def one(i: int, stage: Any) -> None:
                told[i] = await choose(strategy_run(ledger, agent=runner.agent), strategy_of(stage))

            async with anyio.create_task_group() as group:
                for i, stage in enumerate((Race(4, 1), Sample(4))):
                    group.start_soon(one, i, stage)
            return told[0], told[1]

    race, vote = anyio.run(main)
    assert (len(race.pool), len(vote.pool)) == (1, 4)
    assert statuses(tmp_path) == ["finished"] * 4
    assert race.spending.usage.known_usd == pytest.approx(8.0)
    assert vote.spending.usage.known_usd == pytest.approx(62.0)


def test_halting_by_arrival_keeps_the_first_to_arrive(tmp_path: Path) -> None:
    runner = Runner([5, 2, 9], speed=[1, 20, 1])
    choice = raced(runner, Race(3, 1, "arrival"), tmp_path)
    assert indices(choice, tmp_path) == [0]


def test_agents_without_lengths_race_by_arrival(tmp_path: Path) -> None:
    runner = Runner([99_999, 2, 99_999], silent=True)
    choice = raced(runner, Race(3, 1), tmp_path)
    assert indices(choice, tmp_path) == [1]
    assert sorted(statuses(tmp_path)) == ["cancelled", "cancelled", "finished"]


def test_where_fewer_than_m_finish_those_that_did_are_kept(tmp_path: Path) -> None:
    runner = Runner([3, 1, 2], failing=frozenset({0, 2}))
    choice = raced(runner, Race(3, 2), tmp_path)
    assert indices(choice, tmp_path) == [1]
    assert statuses(tmp_path).count("failed") == 2


def test_lanes_that_the_budget_refuses_mark_the_choice_incomplete(tmp_path: Path) -> None:
    for i, stage in enumerate((Race(6, 2), Race(6, 2, "arrival"))):
        choice = raced(Runner([3, 1, 2, 9, 9, 9]), stage, tmp_path / str(i), rollouts=3)
        assert choice.incomplete
        assert choice.spending.rollouts == 3


def test_lanes_that_the_run_s_budget_refuses_mark_the_choice_incomplete(tmp_path: Path) -> None:
    runner = Runner([3, 1, 2, 9, 9, 9])

    async def main() -> Choice:
        async with opened(agent=runner.agent, budget=Budget(rollouts=3), folder=tmp_path) as ledger:
            work = strategy_run(ledger, agent=runner.agent)
            return await choose(work, strategy_of(Race(6, 2)))

    choice = anyio.run(main)
    assert choice.incomplete
    assert len(runner.started) == 3


def test_a_stage_that_raises_in_a_race_leaves_nothing_running(tmp_path: Path) -> None:
    runner = Runner([1, 999_999, 999_999])

    class Bad:
        async def __call__(self, pool: Any, scope: Any) -> Any:
            async with scope.lanes(3) as lanes:
                await lanes.changed()
                raise ValueError("a fault of the stage")

    choice = raced(runner, Pipeline(Bad()), tmp_path)
    assert "a fault of the stage" in choice.error
    assert "cancelled" in statuses(tmp_path)
    assert "started" not in statuses(tmp_path)


def test_a_stage_may_sample_inside_its_race_when_the_budget_is_tight(tmp_path: Path) -> None:
    class Inside:
        async def __call__(self, pool: Any, scope: Any) -> Any:
            async with scope.lanes(3) as lanes:
                while await lanes.changed():
                    pass
                assert await scope.sample(1, start=3)  # the lanes have ended below their bound
            return replace(pool, rollouts=tuple(lane.rollout for lane in lanes))

    runner = Runner([1, 2, 3, 4, 5])
    agent = ScriptedAgent(runner, bound=Budget(usd=5.0))

    async def main() -> Choice:
        async with opened(agent=agent, folder=tmp_path) as ledger:
            work = strategy_run(ledger, agent=agent, budget=Budget(usd=15.0))
            with anyio.fail_after(20):
                return await choose(work, strategy_of(Pipeline(Inside())))

    choice = anyio.run(main)
    assert (choice.error, len(choice.pool), choice.incomplete) == ("", 3, False)
    assert choice.spending.usage.known_usd == 10.0
