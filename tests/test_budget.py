"""A limit is never passed, and is used up to the largest bound, whatever the costs and the interleaving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from tts_strategies.refine import Refine
from tts_strategies.rtv import RTV
from tts_strategies.sample import Sample

from tts.budget import NAMES, SLACK, ZERO, Account, Amount, amount, charge
from tts.course import choose
from tts.errors import Refused
from tts.executors.local import local
from tts.experiment import strategy_of
from tts.ledger import Ledger
from tts.pipeline import Pipeline
from tts.protocols import Attempt, Work
from tts.scope import Cast, Role, StrategyRun, role
from tts.store import Store
from tts.testing import ScriptedAgent
from tts.types import Budget, Effect, Pool, Rollout, Summary, Task, Usage, Verdict

SHARES = (0.0, 0.3, 1.0)


@dataclass
class Bank:
    """An account under random askers, checked at every change."""

    account: Account
    rng: Random
    refused: list[Budget] = field(default_factory=list)
    admitted: dict[int, int] = field(default_factory=dict)

    def check(self) -> None:
        held = [r.held for r in self.account._held]
        for name, limit, spent, *parts in zip(
            NAMES, self.account.limit, self.account.spent, *held, strict=True
        ):
            assert spent + sum(parts) <= limit * (1 + 2 * SLACK), name

    async def ask(self, i: int, bounds: Sequence[Budget], costs: Sequence[Amount], yields: int) -> None:
        self.admitted[i] = 0
        while bounds:
            try:
                reservation = await self.account.reserve(bounds)
            except Refused:
                self.refused.append(bounds[0])
                return
            self.check()
            for _ in range(yields):
                await anyio.lowlevel.checkpoint()
            self.admitted[i] += reservation.n
            spent = [sum(column) for column in zip(*costs[: reservation.n], strict=True)]
            self.account.settle(reservation, tuple(spent))
            self.check()
            bounds, costs = bounds[reservation.n :], costs[reservation.n :]


def drawn_budget(rng: Random, most: float, *, gaps: float = 0.0) -> Budget:
    parts = [None if rng.random() < gaps else rng.choice((0, rng.uniform(0, most))) for _ in NAMES]
    usd, tokens, seconds, rollouts = parts
    whole = [None if x is None else int(x) for x in (tokens, rollouts)]
    return Budget(usd=usd, tokens=whole[0], seconds=seconds, rollouts=whole[1])


Demand = list[tuple[list[Budget], list[Amount]]]


def demands(rng: Random) -> Demand:
    drawn: Demand = []
    for _ in range(rng.randint(1, 5)):
        bounds = [drawn_budget(rng, 10) for _ in range(rng.choice((1, 1, 1, 3)))]
        drawn.append((bounds, [tuple(x * rng.choice(SHARES) for x in amount(b)) for b in bounds]))
    return drawn


async def one_bank(rng: Random, limit: Budget, asked: Demand) -> Bank:
    bank = Bank(Account(limit), rng)
    async with anyio.create_task_group() as group:
        for i, (bounds, costs) in enumerate(asked):
            group.start_soon(bank.ask, i, bounds, costs, rng.randint(0, 3))
    return bank


def test_thousands_of_random_accounts_are_never_passed_and_well_used(thorough: bool) -> None:
    async def main() -> int:
        n_refused = 0
        for seed in range(10_000 if thorough else 3_000):
            rng = Random(seed)
            limit = drawn_budget(rng, 25, gaps=0.4)
            bank = await one_bank(rng, limit, demands(rng))
            n_refused += bool(bank.refused)
            assert bank.account._held == []
            for bound in bank.refused:
                after = zip(bank.account.limit, bank.account.spent, amount(bound), strict=True)
                assert any(spent + most > limit for limit, spent, most in after), (seed, bound)
        return n_refused

    assert anyio.run(main) > 2_000


def test_what_is_admitted_does_not_depend_on_who_ends_first() -> None:
    async def main() -> None:
        for seed in range(300):
            limit = drawn_budget(Random(seed), 25, gaps=0.4)
            asked = demands(Random(seed))
            told = [(await one_bank(Random(way), limit, asked)).admitted for way in range(3)]
            assert told[0] == told[1] == told[2], seed

    anyio.run(main)


def test_a_cancelled_waiter_leaves_the_queue_and_lets_the_next_one_try() -> None:
    async def main() -> list[str]:
        account = Account(Budget(usd=10))
        first = await account.reserve([Budget(usd=6)])
        told: list[str] = []

        async def ask(usd: float, name: str) -> None:
            account.settle(await account.reserve([Budget(usd=usd, tokens=0, seconds=0, rollouts=0)]), ZERO)
            told.append(name)

        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()

            async def large() -> None:
                with scope:
                    await ask(8, "large")

            group.start_soon(large)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(ask, 4, "small")
            await anyio.wait_all_tasks_blocked()
            assert told == []  # first come, first served: the small one does not overtake
            scope.cancel()
            await anyio.wait_all_tasks_blocked()
            assert told == ["small"]
        account.settle(first, ZERO)
        assert account.remaining.usd == 10
        return told

    assert anyio.run(main) == ["small"]


def test_a_waiter_that_is_cancelled_as_its_turn_comes_gives_back_what_it_was_given() -> None:
    async def main() -> None:
        account = Account(Budget(usd=10))
        first = await account.reserve([Budget(usd=10)])

        async def ask() -> None:
            account.settle(await account.reserve([Budget(usd=10)]), ZERO)

        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(ask)
                await anyio.wait_all_tasks_blocked()
                account.settle(first, ZERO)
                scope.cancel()
        assert account._held == []
        assert account.remaining.usd == 10

    anyio.run(main)


def test_what_does_not_fit_waits_for_others_before_it_is_refused() -> None:
    async def main() -> None:
        account = Account(Budget(usd=10))
        held = await account.reserve([Budget(usd=8, tokens=0, seconds=0, rollouts=0)])
        async with anyio.create_task_group() as group:
            group.start_soon(account.reserve, [Budget(usd=5, tokens=0, seconds=0, rollouts=0)])
            await anyio.wait_all_tasks_blocked()
            account.settle(held, (2.0, 0.0, 0.0, 0.0))
        assert account.remaining.usd == 3
        with pytest.raises(Refused, match="usd"):
            account.reserve_now(Budget(usd=4, tokens=0, seconds=0, rollouts=0))

    anyio.run(main)


def test_an_unknown_price_is_charged_at_the_bound_and_never_hides_a_known_one() -> None:
    bound = Budget(usd=2.0, tokens=10, seconds=5.0, rollouts=1)
    unknown = Usage(calls=2, input_tokens=3, output_tokens=4, known_usd=0.5, unpriced_calls=1)
    assert charge(bound, unknown, 9.0) == (2.0, 7.0, 5.0, 1.0)
    assert charge(bound, replace(unknown, unpriced_calls=0), 1.0) == (0.5, 7.0, 1.0, 1.0)
    assert charge(bound, replace(unknown, known_usd=3.0), 1.0)[0] == 3.0


def test_a_stage_leaves_a_share_and_its_parent_is_charged() -> None:
    parent = Account(Budget(usd=10))
    stage = parent.share(0.15)
    assert stage.remaining.usd == pytest.approx(8.5)
    stage.add((8.5, 0.0, 0.0, 0.0))
    assert parent.remaining.usd == pytest.approx(1.5)
    assert parent.share(0.0).remaining.usd == pytest.approx(1.5)


TASK = Task("t", "a task")
DEAR = Budget(usd=2.0, tokens=40, seconds=60.0)


@dataclass
class Gambler:
    """An executor whose effects cost what chance says, within their bounds; prices are sometimes unknown."""

    rng: Random
    known: list[float] = field(default_factory=list)

    async def perform(self, effects: Sequence[Effect[Any]], work: Work) -> list[Any]:
        for _ in range(self.rng.randint(0, 2)):
            await anyio.lowlevel.checkpoint()
        return [self._result(effect, work) for effect in effects]

    def _result(self, effect: Effect[Any], work: Work) -> Any:
        usage = self._usage(effect.bound)
        if effect.kind == "rollout":
            return Rollout(effect.key, effect.task.id, effect.occurrence, answer=effect.key, usage=usage)
        if effect.kind == "summary":
            return Summary(effect.key, effect.inputs[0], usage=usage)
        shown = tuple(work.load(key, Summary).rollout for key in effect.inputs)
        return Verdict(shown, max(shown), usage=usage)

    def _usage(self, bound: Budget) -> Usage:
        usd = (bound.usd or 0.0) * self.rng.choice((0.0, self.rng.random(), 1.0))
        tokens = self.rng.randint(0, bound.tokens or 0)
        return Usage(1, output_tokens=tokens, known_usd=usd, unpriced_calls=self.rng.random() < 0.1)


def cast_of(bound: Budget) -> Cast:
    small = Budget(usd=0.1, tokens=5, seconds=60.0, rollouts=0)
    return Cast(Role("agent", bound), Role("summarizer", small), Role("judge", small))


async def gamble(store: Store, seed: int, *, run_level: bool) -> bool:
    """Play one run on a ledger of its own; return whether its limit cut it."""
    rng = Random(seed)
    limit = Budget(
        usd=rng.choice((None, rng.uniform(0, 20))),
        tokens=rng.choice((None, rng.randint(0, 400))),
        rollouts=rng.choice((None, rng.randint(0, 8))),
    )
    before = store.charged()
    whole = Budget(
        **{
            name: None if x is None else type(x)(x + b)
            for name, x, b in zip(NAMES, (limit.usd, limit.tokens, None, limit.rollouts), before, strict=True)
        }
    )
    ledger = Ledger(store, Gambler(rng), limit=whole if run_level else Budget())
    async with ledger:
        work = StrategyRun(TASK, ledger, cast_of(DEAR), seed=seed, budget=Budget() if run_level else limit)
        scope = work.scope()
        pool = await Sample(rng.randint(1, 8))(Pool(), scope)
        async with anyio.create_task_group() as group:
            for rollout in pool:
                group.start_soon(scope.summarize, rollout)
    spent = [x - b for x, b in zip(ledger.bill, before, strict=True)]
    ceiling = amount(limit)
    assert all(x <= y * (1 + SLACK) + 1e-6 for x, y in zip(spent, ceiling, strict=True)), (seed, spent)
    if not work.refusals:
        return False
    largest = (DEAR.usd or 0.0, float(DEAR.tokens or 0), 0.0, 1.0)
    left = [y - x for x, y in zip(spent, ceiling, strict=True)]
    assert any(x <= most for x, most in zip(left, largest, strict=True)), (seed, left)
    return True


@pytest.mark.parametrize("run_level", [True, False], ids=["run", "task"])
def test_random_runs_on_a_real_ledger_are_never_passed_and_well_used(tmp_path: Path, run_level: bool) -> None:
    async def main() -> int:
        store = Store.open(tmp_path)
        cut = 0
        for seed in range(100):
            cut += await gamble(store, seed, run_level=run_level)
        store.close()
        return cut

    assert anyio.run(main) > 25


def test_many_strategies_at_once_stay_within_the_run_s_limit(tmp_path: Path) -> None:
    async def main() -> None:
        store = Store.open(tmp_path)
        for seed in range(8):
            spent = store.charged()[0]
            async with Ledger(store, Gambler(Random(seed)), limit=Budget(usd=spent + 9)) as ledger:
                work = [StrategyRun(Task(str(i), "x"), ledger, cast_of(DEAR), seed) for i in range(4)]
                async with anyio.create_task_group() as group:
                    for run in work:
                        group.start_soon(choose, run, strategy_of(Pipeline(Sample(4), RTV(votes=2))))
            assert 7 <= ledger.bill[0] - spent <= 9 + 1e-6
            assert any(run.refusals for run in work)
        store.close()

    anyio.run(main)


def test_a_pipeline_that_runs_out_returns_the_best_so_far_and_leaves_selection_its_share(
    tmp_path: Path,
) -> None:
    @dataclass
    class Dear(Gambler):
        def _usage(self, bound: Budget) -> Usage:
            return Usage(1, known_usd=bound.usd or 0.0)

    async def main() -> None:
        store = Store.open(tmp_path)
        async with Ledger(store, Dear(Random(0))) as ledger:
            work = StrategyRun(TASK, ledger, cast_of(Budget(usd=1.0)), budget=Budget(usd=10.0))
            strategy = strategy_of(Pipeline(Sample(16), RTV(keep=2, votes=2), Refine(4), RTV()))
            choice = await choose(work, strategy)
        assert choice.incomplete
        assert not choice.error
        assert choice.winner in choice.pool
        assert len(choice.stages[0].returned) == 8  # 85 % of 10 dollars at a dollar each
        assert choice.stages[1].matches  # what sampling left has paid for votes
        assert choice.spending.usage.known_usd <= 10.0 + 1e-9
        assert any("usd" in reason for reason in choice.refusals)
        store.close()

    anyio.run(main)


def test_votes_that_are_cut_in_the_middle_of_a_batch_mark_the_choice_incomplete(tmp_path: Path) -> None:
    @dataclass
    class Dear(Gambler):
        def _usage(self, bound: Budget) -> Usage:
            return Usage(1, known_usd=bound.usd or 0.0)

    async def main() -> None:
        store = Store.open(tmp_path)
        cast = Cast(
            Role("agent", Budget(usd=0.0)),
            Role("summarizer", Budget(usd=0.0)),
            Role("judge", Budget(usd=1.0)),
        )
        async with Ledger(store, Dear(Random(0))) as ledger:
            work = StrategyRun(TASK, ledger, cast, budget=Budget(usd=7.0))
            choice = await choose(work, strategy_of(Pipeline(Sample(2), RTV(votes=8, tie_rounds=0))))
        assert choice.spending.verdicts == 7
        assert choice.incomplete
        store.close()

    anyio.run(main)


def test_what_a_killed_run_had_in_flight_is_charged_at_its_bound(tmp_path: Path) -> None:
    async def main() -> None:
        effect = Effect("rollout", TASK, Rollout, "agent", bound=Budget(usd=3.0, tokens=7, rollouts=1))
        store = Store.open(tmp_path)
        await store.begin([effect], [(3.0, 7.0, 0.0, 1.0)])
        store.close()
        store = Store.open(tmp_path)
        async with Ledger(store, Gambler(Random(0)), limit=Budget(usd=5.0)) as ledger:
            assert ledger.bill == (3.0, 7.0, 0.0, 1.0)
            (done,) = await ledger.do([effect])
        assert isinstance(done.error, Refused)
        store.close()

    anyio.run(main)


AGENT_BOUND = Budget(usd=1.0, tokens=100, seconds=60)


async def spend_at_random(task: Task, attempt: Attempt) -> Rollout:
    """Cost anything up to the bound, after a random number of turns of the event loop."""
    rng = Random(attempt.seed)
    for _ in range(rng.randint(0, 2)):
        await anyio.lowlevel.checkpoint()
    attempt.spend(Usage(calls=1, output_tokens=rng.randint(0, 100), known_usd=rng.uniform(0, 1.0)))
    return Rollout(answer="done")


def random_limit(rng: Random) -> tuple[str, Budget]:
    name = rng.choice(["usd", "tokens", "rollouts"])
    limit = {"usd": rng.uniform(0.5, 3), "tokens": rng.randint(50, 300), "rollouts": rng.randint(1, 5)}[name]
    return name, Budget(**{name: limit})


def test_thousands_of_random_runs_of_a_scripted_agent(tmp_path: Path, thorough: bool) -> None:
    n_runs = 10_000 if thorough else 500
    agent = ScriptedAgent(spend_at_random, bound=AGENT_BOUND)
    cut = 0

    async def one(i: int, ledger: Ledger, places: anyio.CapacityLimiter) -> None:
        nonlocal cut
        rng = Random(i)
        name, limit = random_limit(rng)
        async with places:
            run = StrategyRun(Task(str(i), "x"), ledger, Cast(role(agent)), budget=limit)
            await Pipeline(Sample(rng.randint(1, 6)))(Pool(), run.scope())
        used = [use.usage for use in run.uses.values()]
        spent = {
            "usd": sum(usage.known_usd for usage in used),
            "tokens": sum(usage.tokens for usage in used),
            "rollouts": len(used),
        }[name]
        most, bound = getattr(limit, name), getattr(AGENT_BOUND, name) or 1
        assert spent <= most * (1 + 1e-9)
        if run.refusals:
            cut += 1
            assert spent > most - bound - 1e-9

    async def main() -> None:
        store = Store.open(tmp_path)
        places = anyio.CapacityLimiter(64)
        async with (
            Ledger(store, local(agent), slots={"rollout": 64}) as ledger,
            anyio.create_task_group() as group,
        ):
            for i in range(n_runs):
                group.start_soon(one, i, ledger, places)
        store.close()

    anyio.run(main)
    assert 0.1 * n_runs < cut < 0.9 * n_runs
