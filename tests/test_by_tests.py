"""The stages that select by tests: their contracts, and each on an example worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tts_strategies.agentless import Agentless
from tts_strategies.codet import CodeT, codet
from tts_strategies.cwm import CWM
from tts_strategies.matrix import matrix
from tts_strategies.mbr import MBR
from tts_strategies.panel import Panel
from tts_strategies.regression import Regression
from tts_strategies.s_star import SStar
from tts_strategies.tested import Tested

from tts.errors import UsageError
from tts.pipeline import suites
from tts.protocols import Author
from tts.registry import resolve
from tts.suites import Execution, Suite, SuiteKind, TestCase, TestOutcome
from tts.testing import ScriptedJudge, ScriptedTester, StageContract, opened, run_stage, stored, strategy_run
from tts.types import FREE, Budget, Pool, Rollout, Task, Usage, Verdict


class TestCodeT(StageContract):
    stage = CodeT()


class TestCodeTByOwnTests(StageContract):
    stage = CodeT(tests="own", keep=2)


class TestRegression(StageContract):
    stage = Regression()


class TestRegressionStrict(StageContract):
    stage = Regression(strict=True)


class TestAgentless(StageContract):
    stage = Agentless(n=2)


class TestCWM(StageContract):
    stage = CWM(n=2)


class TestMBR(StageContract):
    stage = MBR(n=2)


class TestTested(StageContract):
    stage = Tested(n=2)


class TestSStar(StageContract):
    stage = SStar(n=2)


class TestPanel(StageContract):
    stage = Panel(group=3)


@dataclass(frozen=True, slots=True)
class Bench:
    """A tester by a table: `rows[output]` are the words for the tests, `.` passed and `x` failed; `old` for
    the repository's. `suites` are the tests' texts by answer, each the number of a column."""

    rows: dict[str, str]
    old: dict[str, str] | None = None
    suites: Sequence[Sequence[int]] = ((0, 1, 2, 3),)
    before: str = "xxxxxxxxx"
    outputs: dict[str, str] | None = None
    fingerprint: str = "table"
    bound: Budget = FREE

    async def write(
        self, task: Task, kind: SuiteKind, authors: Sequence[Author], *, n: int = 1, start: int = 0
    ) -> list[Suite]:
        if kind == "regression":
            return [Suite()] * n
        return [
            Suite(cases=tuple(TestCase(str(i)) for i in self.suites[j % len(self.suites)]))
            for j in range(start, start + n)
        ]

    async def execute(self, task: Task, suite: Suite, rollout: Rollout | None) -> Execution:
        if suite.kind == "regression":
            found = (self.old or {}).get(rollout.output or "", "") if rollout else "....x"
            return Execution(outcomes=tuple(outcome(f"old {i}", c) for i, c in enumerate(found)))
        row = self.rows[rollout.output or ""] if rollout else self.before
        columns = [int(case.code) for case in suite.cases]
        told = (self.outputs or {}).get(rollout.output or "", row) if rollout else ""
        return Execution(outcomes=tuple(outcome(str(i), row[c], told) for i, c in enumerate(columns)))


def outcome(name: str, mark: str, output: str = "") -> TestOutcome:
    statuses = {".": "passed", "x": "failed", "e": "error", "t": "timeout"}
    return TestOutcome(name, statuses[mark], output)  # type: ignore[arg-type]


def pool_of(*outputs: str, tokens: Sequence[int] = ()) -> Pool:
    spent = [*tokens, *[0] * len(outputs)]
    return Pool(
        tuple(Rollout(answer=o, index=i, usage=Usage(output_tokens=spent[i])) for i, o in enumerate(outputs))
    )


def picked(stage, pool: Pool, tester: Bench, **options) -> list[str | None]:
    return [rollout.output for rollout in run_stage(stage, pool, tester=tester, **options)]


def test_codet_takes_the_group_of_most_agreement():
    # sqrt(2) * 2 = 2.83 for b; sqrt(1) * 3 = 3 for a; sqrt(4) * 1 = 2 for c
    rows = {"a": "...x", "b": "..xx", "c": ".xxx"}
    assert picked(CodeT(n=1), pool_of(*"abbcccc"), Bench(rows)) == ["a"]
    # with the first test written five times: a (5+2) * 1 = 7, b (5+1) * 1.41 = 8.5, c 5 * 2 = 10
    often = Bench(rows, suites=((0, 1, 2, 3), (0,), (0,), (0,), (0,)))
    assert picked(CodeT(n=5, weighted=True), pool_of(*"abbcccc"), often) == ["c"]


def test_agentless_takes_the_commonest_of_the_best_group():
    # |P| |T|²: {a, b, b} 3 * 1 = 3, {c} 1 * 4 = 4, {d} 1 * 1 = 1 (another set)
    rows = {"a": ".xxx", "b": ".xxx", "c": "..xx", "d": "xxx."}
    assert picked(Agentless(n=1), pool_of(*"abbcd"), Bench(rows)) == ["c"]
    rows["c"] = "x.xx"  # now 1: the group of three wins, and in it the majority
    assert picked(Agentless(n=1), pool_of(*"abbcd"), Bench(rows)) == ["b"]
    assert run_stage(Agentless(n=1), pool_of(*"cabab"), tester=Bench(rows)).rollouts[0].index == 1
    nothing = dict.fromkeys("abcd", "xxxx")
    assert picked(Agentless(n=1), pool_of(*"abccd"), Bench(nothing)) == ["c"]


def test_cwm_counts_tests_then_patches_then_tokens():
    rows = {"a": "...x", "b": "..xx", "c": "x..x"}
    old = dict.fromkeys("abc", "....x")
    assert picked(CWM(n=1), pool_of(*"abbcc"), Bench(rows, old)) == ["a"]
    assert picked(
        CWM(n=1), pool_of(*"abbcc", tokens=(0, 5, 4, 7, 8)), Bench(rows, {**old, "a": "xxxxx"})
    ) == ["b"]
    two = pool_of("b", "c", "b", "c", tokens=(9, 9, 3, 4))
    assert run_stage(CWM(n=1), two, tester=Bench(rows, old)).rollouts[0].index == 2
    # only the commonest test counts with top=1: the third, which a and c pass
    often = Bench(rows, old, suites=((0, 1, 2, 3), (2,), (2,)))
    assert picked(CWM(n=3, top=1), pool_of(*"abbbc", tokens=(5, 0, 0, 0, 1)), often) == ["c"]
    assert picked(CWM(n=1, regression=False), pool_of(*"abbcc"), Bench(rows)) == ["a"]


def test_regressions_are_counted_against_what_passed_before():
    old = {
        "a": "..x.x",
        "b": ".xx..",
        "c": "....x",
        "d": "...x.",
    }  # the last test failed before: it is no matter
    pool = pool_of(*"abcd")
    assert picked(Regression(), pool, Bench({}, {**old, "c": "x..xx"})) == ["a", "d"]
    assert picked(Regression(strict=True), pool, Bench({}, old)) == ["c"]
    assert picked(Regression(strict=True), pool_of(*"abd"), Bench({}, old)) == ["a", "b", "d"]
    assert picked(Regression(), pool, Bench({}, dict.fromkeys("abcd", ""))) == ["a", "b", "c", "d"]


def test_mbr_takes_the_commonest_behaviour_and_none_that_breaks():
    rows = {"a": "....", "b": "....", "c": "....", "d": "...e", "e": "...e"}
    outputs = {"a": "1", "b": "1", "c": "2", "d": "2", "e": "2"}
    assert picked(MBR(n=1), pool_of(*"abcde"), Bench(rows, outputs=outputs))[0] in ("a", "b")


def test_tested_prefers_more_votes_and_then_shorter_outputs():
    rows = {"aa": "...x", "b": "..xx", "ccc": "...x", "d": "xxxx"}
    assert picked(Tested(n=1, keep=3), pool_of("ccc", "b", "aa", "d"), Bench(rows)) == ["aa", "ccc", "b"]


def test_s_star_shows_the_judge_where_candidates_differ():
    rows = dict.fromkeys("abcd", "....")
    outputs = {"a": "41", "b": "41", "c": "42", "d": "43"}
    seen: list[str] = []

    def value(candidate):
        seen.append(candidate.summary.render())
        return " 42" in seen[-1]

    judge = ScriptedJudge(value=value)
    assert picked(SStar(n=1), pool_of(*"abcd"), Bench(rows, outputs=outputs), judge=judge) == ["c"]
    assert all("Commands (captured)" in text for text in seen)
    silent = ScriptedJudge(value=lambda candidate: None)
    assert picked(SStar(n=1), pool_of(*"cabd"), Bench(rows, outputs=outputs), judge=silent)[0] in ("a", "b")


@dataclass(frozen=True, slots=True)
class Sequence_:
    """A judge whose votes are those of a list, by output."""

    votes: tuple[str, ...]
    fingerprint: str = "list"
    bound: Budget = FREE

    async def compare(self, task, shown, *, n=1):
        order = sorted(shown, key=lambda c: c.rollout.key)
        first = next(i for i, c in enumerate(order) if c is shown[0])
        mine = self.votes[first :: len(shown)][:n]
        keys = {c.rollout.output: c.rollout.key for c in shown}
        return [Verdict(preferred=keys.get(vote)) for vote in mine]


@pytest.mark.parametrize(
    ("votes", "asked", "winner"), [("aaabb", 3, "a"), ("ababa", 5, "a"), ("abbb ", 4, "b")]
)
def test_a_panel_stops_at_the_majority(votes, asked, winner):
    judge = Sequence_(tuple(votes))

    async def main():
        async with opened(judge=judge) as ledger:
            run = strategy_run(ledger, judge=judge)
            pool = await stored(pool_of("a", "b"), run)
            made = await Panel()(pool, run.scope())
            return made.rollouts[0].output, run.spending.verdicts

    # the orders take turns, so the list is read in that order whatever the keys are
    assert anyio.run(main) == (winner, asked)


def test_in_a_repository_only_what_fails_before_counts():
    async def main(task: Task):
        tester = Bench({"a": "...."}, before=".xte")
        async with opened(tester=tester) as ledger:
            run = strategy_run(ledger, task=task, tester=tester)
            pool = await stored(pool_of("a"), run)
            return (await matrix(run.scope(), pool.rollouts, "written")).weights

    plain = Task("t", "p")
    assert anyio.run(main, plain) == (1.0, 1.0, 1.0, 1.0)
    assert anyio.run(main, replace(plain, repo="/nowhere", base_commit="0" * 40)) == (1.0,)


@settings(max_examples=20)
@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=6))
def test_codet_picks_as_its_function_does(table):
    names = [f"{i}" for i in range(len(table))]
    rows = {name: "".join(".x"[not ok] for ok in row) for name, row in zip(names, table, strict=True)}
    best = codet(table)[0].score
    groups = {names[i] for group in codet(table) if group.score == best for i in group.solutions}
    assert picked(CodeT(n=1), pool_of(*names), Bench(rows, suites=((0, 1, 2),)))[0] in groups


@pytest.mark.parametrize(
    ("stage", "options"),
    [
        (CodeT, {"tests": "theirs"}),
        (CodeT, {"keep": 0}),
        (Agentless, {"n": 0}),
        (CWM, {"top": 0}),
        (MBR, {"n": 0}),
        (SStar, {"clusters": 1}),
        (Panel, {"group": 1}),
        (Tested, {"keep": 0}),
        (Agentless, {"keep": 0}),
    ],
)
def test_wrong_parameters_are_refused(stage, options):
    with pytest.raises(UsageError, match="not"):
        stage(**options)


def test_equal_outputs_are_run_once():
    ran: list[str | None] = []

    class Counting(ScriptedTester):
        async def execute(self, task, suite, rollout):
            ran.append(rollout.output if rollout else None)
            return await ScriptedTester.execute(self, task, suite, rollout)

    run_stage(CodeT(n=1), pool_of("a", "bb", "a", "bb", "a"), tester=Counting())
    assert sorted(ran) == ["a", "bb"]


def test_the_kinds_that_a_strategy_asks_for_are_known_before_anything_runs():
    asked = {str(sorted(suites(resolve(text).run))) for text in ("agentless@4", "cwm@4")}
    assert asked == {"['regression', 'written']"}
    assert suites(resolve("sample(4) | arena(tests='own')").run) == {"own"}
    assert suites(resolve("sample(4) | arena()").run) == set()
    assert suites(resolve("codemonkeys@4").run) == {"written", "inputs"}
    assert suites(resolve("trae@4").run) == {"regression"}
