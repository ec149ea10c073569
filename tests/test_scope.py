"""A stage sees no grade, the same random numbers, and a budget that is counted as if it ran alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tts.errors import UsageError
from tts.experiment import Experiment
from tts.pipeline import Pipeline, gather
from tts.protocols import Attempt, Scope
from tts.run import Choice
from tts.scope import Cast, StrategyRun, display_orders
from tts.testing import ScriptedAgent, ScriptedJudge, ScriptedSummarizer, opened, strategy_run
from tts.types import Budget, Candidate, Effect, Grade, Pool, Rollout, Step, Summary, Task, Usage, Verdict

TASKS = [Task(f"task-{i}", f"prompt {i}") for i in range(2)]
COMPANY = [
    "single",
    "vote@6",
    "short-2@5",
    "rtv@6",
    "sample(5) | rtv(keep=2, votes=4) | refine(3) | rtv(votes=2)",
    "sample(4) | refine(4, priors='random', k=2)",
]


def test_a_stage_has_no_access_to_grades() -> None:
    async def main() -> None:
        async with opened() as ledger:
            scope = strategy_run(ledger).scope()
            with pytest.raises(UsageError, match="no access to grades"):
                await scope.do(Effect("grade", scope.task, Grade, "g", ("key",)))

    anyio.run(main)


@dataclass
class Peeker:
    """Plays every role and a stage, and keeps all that it is handed."""

    seen: list[Any] = field(default_factory=list)
    fingerprint: str = "peeker"
    bound: Budget = Budget()

    async def run(self, task: Task, attempt: Attempt) -> Rollout:
        self.seen += [task, *attempt.priors]
        return Rollout(answer=f"answer {attempt.index}", length=float(attempt.index))

    async def summarize(self, task: Task, rollout: Rollout, steps: Sequence[Step]) -> Summary:
        self.seen += [task, rollout, steps]
        return Summary(claims=("made",))

    async def compare(self, task: Task, shown: Sequence[Candidate], *, n: int = 1) -> list[Verdict]:
        self.seen += [task, list(shown)]
        return [Verdict(preferred=shown[0].rollout.key)] * n

    async def grade(self, task: Task, rollout: Rollout) -> Grade:
        return Grade(resolved=True, score=1.0, detail="THE TRUTH")

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        self.seen += [pool, scope.task, scope.remaining]
        return pool


def walked(value: Any) -> list[Any]:
    if is_dataclass(value):
        return [value, *(part for f in fields(value) for part in walked(getattr(value, f.name)))]
    if isinstance(value, Mapping):
        return [value, *(part for pair in value.items() for part in walked(pair))]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [value, *(part for inner in value for part in walked(inner))]
    return [value]


def test_nothing_that_a_stage_or_a_performer_is_handed_holds_a_grade(tmp_path: Path) -> None:
    peeker = Peeker()
    stages = Pipeline(peeker, *_stages("sample(3) | rtv(keep=2, votes=2) | refine(2)"), peeker, name="peek")

    async def main() -> None:
        for n in (1, 2):  # the second time the grades are already on disk
            tasks = [replace(task, prompt=f"{task.prompt} {n}") for task in TASKS] + TASKS
            tasks = [replace(task, id=f"{i}") for i, task in enumerate(tasks)]
            experiment = Experiment(
                tasks=tasks,
                strategies=[stages, f"sample({n + 3}) | rtv(votes=2)"],
                agent=peeker,
                summarizer=peeker,
                judge=peeker,
                grader=peeker,
            )
            with await experiment.run(tmp_path) as run:
                assert run.grades("0")

    anyio.run(main)
    parts = walked(peeker.seen)
    assert len(parts) > 500
    assert not [part for part in parts if isinstance(part, Grade)]
    assert not [part for part in parts if isinstance(part, str) and "TRUTH" in part]


def _stages(text: str) -> tuple[Any, ...]:
    from tts.registry import resolve

    found = resolve(text).run
    assert isinstance(found, Pipeline)
    return found.stages


def test_randomness_comes_from_seed_task_pool_and_labels_and_from_nothing_else() -> None:
    async def main() -> None:
        async with opened() as ledger:
            pool = Pool((Rollout("b"), Rollout("a")))
            turned = Pool((Rollout("a"), Rollout("b")))

            def drawn(pool: Pool = pool, labels: tuple[str, ...] = ("x",), **fields: Any) -> float:
                scope = strategy_run(ledger, **fields).scope().enter(pool, label="s", keep=0.0)
                return scope.rng(*labels).random()

            assert drawn() == drawn(turned)
            different = [drawn(), drawn(seed=1), drawn(task=TASKS[0]), drawn(Pool()), drawn(labels=("y",))]
            assert len(set(different)) == 5

    anyio.run(main)


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("votes", [1, 2, 7, 8])
def test_over_the_votes_everyone_stands_first_equally_often(size: int, votes: int) -> None:
    group = [f"key {i}" for i in range(size)]
    orders = display_orders(group, votes)
    assert sum(n for _, n in orders) == votes
    assert all(sorted(order) == group for order, _ in orders)
    firsts = {order[0]: n for order, n in orders}
    assert max(firsts.values()) - min(firsts.get(key, 0) for key in group) <= 1
    assert display_orders(group[::-1], votes) == orders
    fewer = dict(display_orders(group, votes - 1))
    assert all(n <= dict(orders)[order] for order, n in fewer.items())


def test_more_votes_ask_only_for_those_that_are_not_there() -> None:
    async def main() -> None:
        judge = ScriptedJudge()
        async with opened(judge=judge) as ledger:
            scope = strategy_run(ledger, judge=judge).scope()
            rollouts = await scope.sample(2)
            (few,) = await scope.compare([rollouts], votes=3)
            asked = len(judge.asked)
            (more,) = await scope.compare([rollouts[::-1]], votes=4)
            assert (asked, len(judge.asked)) == (2, 3)
            (same,) = await scope.compare([rollouts], votes=4)
            assert len(judge.asked) == 3
            assert (len(few.verdicts), sum(more.votes.values()), same.votes) == (3, 4, more.votes)

    anyio.run(main)


def test_a_task_that_no_summary_can_be_had_of_is_not_compared() -> None:
    class Deaf(ScriptedSummarizer):
        async def summarize(self, task: Task, rollout: Rollout, steps: Sequence[Step]) -> Summary:
            raise ConnectionError("down")

    async def main() -> None:
        async with opened(summarizer=Deaf()) as ledger:
            run = strategy_run(ledger, summarizer=Deaf())
            scope = run.scope()
            rollouts = await scope.sample(2)
            (tally,) = await scope.compare([rollouts], votes=4)
            assert (tally.verdicts, tally.votes) == ((), {r.key: 0 for r in rollouts})
            assert run.refusals

    anyio.run(main)


def test_a_role_that_nobody_plays_is_named() -> None:
    async def main() -> None:
        async with opened() as ledger:
            scope = StrategyRun(TASKS[0], ledger, Cast()).scope()
            with pytest.raises(UsageError, match="and none was given"):
                await scope.sample(1)

    anyio.run(main)


def test_a_strategy_pays_once_for_what_it_asks_twice() -> None:
    async def script(task: Task, attempt: Attempt) -> Rollout:
        attempt.spend(Usage(1, known_usd=1.0))
        return Rollout(answer="a")

    async def main() -> None:
        agent = ScriptedAgent(script, bound=Budget(usd=1.0))
        async with opened(agent=agent) as ledger:
            run = strategy_run(ledger, agent=agent, budget=Budget(usd=3.0))
            scope = run.scope()
            await gather(scope.sample(2), scope.sample(3), scope.sample(2))
            assert (run.spending.rollouts, run.spending.usage.known_usd) == (3, 3.0)
            assert scope.remaining.usd == 0.0
            assert run.refusals == []

    anyio.run(main)


@dataclass(frozen=True)
class Jittery:
    """Every role, with costs and answers that depend on what is asked, and delays that depend on chance."""

    chance: Random
    fingerprint: str = "jittery"
    bound: Budget = Budget(usd=1.0)

    async def _wait(self) -> None:
        for _ in range(self.chance.randint(0, 12)):
            await anyio.lowlevel.checkpoint()

    async def run(self, task: Task, attempt: Attempt) -> Rollout:
        length = 2 + attempt.seed % 9
        for i in range(length):
            await self._wait()
            attempt.record(Step(usage=Usage(1, output_tokens=1, known_usd=(1 + attempt.seed % 7) / 80)))
            attempt.progress(float(i + 1))
        return Rollout(answer=f"answer {attempt.seed % 4}", length=float(length))

    async def summarize(self, task: Task, rollout: Rollout, steps: Sequence[Step]) -> Summary:
        await self._wait()
        return Summary(claims=(rollout.answer or "",), usage=Usage(1, known_usd=0.01 * rollout.index))

    async def compare(self, task: Task, shown: Sequence[Candidate], *, n: int = 1) -> list[Verdict]:
        await self._wait()
        best = max(shown, key=lambda candidate: candidate.rollout.key)
        preferred = (best if len(shown[0].rollout.key) % 2 else shown[0]).rollout.key
        return [Verdict(preferred=preferred, usage=Usage(1, known_usd=0.02))] * n


def chosen(
    folder: Path, strategies: Sequence[str], *, chance: int, workers: int, budget: Budget, window: int = 8
) -> dict[tuple[str, str], tuple[Any, ...]]:
    player = Jittery(Random(chance))
    experiment = Experiment(
        tasks=TASKS,
        strategies=strategies,
        agent=player,
        summarizer=player,
        judge=player,
        seed=3,
        workers=workers,
        window=window,
        task_budget=budget,
    )

    def told(choice: Choice) -> tuple[Any, ...]:
        return choice.winner, choice.pool, choice.incomplete, choice.error, choice.spending.rollouts

    with anyio.run(experiment.run, folder) as run:
        return {(c.task_id, c.strategy): told(c) for c in run.choices()}


@pytest.mark.parametrize("budget", [Budget(), Budget(usd=3.0), Budget(rollouts=5)], ids=repr)
def test_winners_do_not_depend_on_interleaving_workers_or_company(budget: Budget, tmp_path: Path) -> None:
    whole = chosen(tmp_path / "whole", COMPANY, chance=0, workers=4, budget=budget)
    assert len(whole) == len(COMPANY) * len(TASKS)
    assert not [error for *_, error, _ in whole.values() if error]
    assert any(told[2] for told in whole.values()) == (budget != Budget())
    for i, workers in enumerate((1, 2, 8)):
        order = Random(i).sample(COMPANY, len(COMPANY))
        again = chosen(tmp_path / str(i), order, chance=i, workers=workers, budget=budget, window=1 + i)
        assert again == whole
    for i, name in enumerate(COMPANY):
        alone = chosen(tmp_path / f"alone {i}", [name], chance=9 + i, workers=4, budget=budget)
        assert alone == {key: told for key, told in whole.items() if key[1] == name}
