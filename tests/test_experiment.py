"""Tasks times strategies: extended, changed, interrupted, refused before they cost, graded at the end."""

from __future__ import annotations

import importlib
import os
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from tts_strategies.race import Race
from tts_strategies.refine import Refine
from tts_strategies.rtv import RTV
from tts_strategies.sample import Sample
from tts_strategies.vote import Vote

from tts.basis import basis
from tts.budget import amount
from tts.ceiling import ceiling
from tts.comparison import Comparison
from tts.errors import UsageError
from tts.events import Chosen, Ended, Event, Found, Noticed, Started
from tts.experiment import Experiment, strategy_of
from tts.graders import ExpectedAnswer, FunctionGrader
from tts.pipeline import Pipeline
from tts.protocols import Attempt, Scope
from tts.run import Choice, Run
from tts.store import Store
from tts.testing import ScriptedAgent
from tts.types import Budget, Candidate, Grade, Pool, Rollout, Step, Summary, Task, Usage, Verdict

TASKS = [Task(f"task-{i}", f"prompt {i}") for i in range(3)]
BOUND = Budget(usd=1.0, tokens=50, seconds=60.0)


@dataclass
class Player:
    """Every role; keeps what it was asked to do."""

    fingerprint: str = "player"
    bound: Budget = BOUND
    n_answers: int = 3
    did: list[tuple[str, ...]] = field(default_factory=list)

    async def run(self, task: Task, attempt: Attempt) -> Rollout:
        self.did.append(("rollout", task.id, str(attempt.index)))
        await anyio.lowlevel.checkpoint()
        attempt.record(Step(usage=Usage(1, output_tokens=2, known_usd=0.1)))
        number = attempt.seed % self.n_answers
        return Rollout(answer=f"{self.fingerprint} {number}", length=float(1 + attempt.seed % 9))

    async def summarize(self, task: Task, rollout: Rollout, steps: Sequence[Step]) -> Summary:
        self.did.append(("summary", task.id, rollout.key))
        return Summary(claims=(rollout.answer or "",), usage=Usage(1, known_usd=0.01))

    async def compare(self, task: Task, shown: Sequence[Candidate], *, n: int = 1) -> list[Verdict]:
        self.did.append(("verdict", task.id, *(c.rollout.key for c in shown)))
        await anyio.lowlevel.checkpoint()
        return [Verdict(preferred=min(c.rollout.key for c in shown), usage=Usage(1, known_usd=0.02))] * n

    async def grade(self, task: Task, rollout: Rollout) -> Grade:
        self.did.append(("grade", task.id, rollout.output or ""))
        right = (rollout.answer or "").endswith("0")
        return Grade(resolved=right, score=float(right))

    def counts(self) -> dict[str, int]:
        kinds = [kind for kind, *_ in self.did]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def experiment(player: Player, strategies: Sequence[Any] = ("vote@4",), **fields: Any) -> Experiment:
    roles = {"agent": player, "summarizer": player, "judge": player, "grader": player}
    return Experiment(**{"tasks": TASKS, "strategies": strategies, **roles, **fields})


def ran(folder: Path, *arguments: Any, **fields: Any) -> dict[tuple[str, str], Choice]:
    with anyio.run(experiment(*arguments, **fields).run, folder) as run:
        return {(c.task_id, c.strategy): c for c in run.choices()}


def test_the_same_run_again_does_nothing_again(tmp_path: Path) -> None:
    player = Player()
    names = ["vote@4", "short-2@4", "rtv@4", "pdr-rtv@3"]
    first = ran(tmp_path, player, names)
    did = list(player.did)
    assert ran(tmp_path, player, names) == first
    assert player.did == did
    assert not [c for c in first.values() if c.error or c.incomplete or not c.winner]


def test_more_attempts_strategies_and_tasks_reuse_what_is_there(tmp_path: Path) -> None:
    player = Player()
    ran(tmp_path, player, ["vote@2"], tasks=TASKS[:1])
    ran(tmp_path, player, ["vote@5"], tasks=TASKS[:1])
    ran(tmp_path, player, ["vote@5", "rtv@5", "single"], tasks=TASKS[:1])
    assert player.counts()["rollout"] == 5
    choices = ran(tmp_path, player, ["vote@5", "rtv@5"])
    assert player.counts()["rollout"] == 15
    assert len(set(player.did)) == len(player.did)  # nothing at all was done twice
    assert len(choices) == 8
    with Run.open(tmp_path) as run:
        assert run.config.strategies == ("vote@2", "vote@5", "rtv@5", "single")
        assert run.comparison()


def test_equal_outputs_are_graded_once_also_when_a_run_grows(tmp_path: Path) -> None:
    player = Player(n_answers=2)
    for n in (2, 4, 8, 16):
        ran(tmp_path, player, [f"sample({n})"], tasks=TASKS[:1])
    graded = [line for line in player.did if line[0] == "grade"]
    assert len(graded) == len(set(graded)) == 2
    with Run.open(tmp_path) as run:
        grades = run.grades("task-0")
        right = {r.key: (r.answer or "").endswith("0") for r in run.rollouts("task-0").values()}
        assert {key: grade.resolved for key, grade in grades.items()} == right


@pytest.mark.parametrize(("which", "n"), [("winners", 1), ("none", 0)])
def test_what_is_graded_can_be_chosen(which: str, n: int, tmp_path: Path) -> None:
    player = Player(n_answers=100)
    ran(tmp_path, player, ["rtv@4"], tasks=TASKS[:1], grade=which)
    assert player.counts().get("grade", 0) == n


def test_a_changed_agent_or_judge_is_noticed_and_adds_beside(tmp_path: Path) -> None:
    old, new = Player(), Player("new")
    ran(tmp_path, old, ["rtv@4", "pass@2"])
    events: list[Event] = []
    ran(tmp_path, old, ["rtv@4"], judge=new, listeners=[events.append])
    assert set(new.counts()) == {"verdict"}
    assert [e.message.split(":")[0] for e in events if isinstance(e, Noticed)] == ["the judge has changed"]
    events.clear()
    choices = ran(tmp_path, old, ["rtv@4", "pass@2"], agent=new, listeners=[events.append])
    told = [e.message.split(":")[0] for e in events if isinstance(e, Noticed)]
    assert told == ["the agent has changed", "the judge has changed"]
    assert new.counts()["rollout"] == 12
    with Run.open(tmp_path) as run:
        rollouts = run.rollouts()
        assert len(rollouts) == 24  # the earlier ones stay
        assert {(rollouts[c.winner].answer or "")[:3] for c in choices.values()} == {"new"}
        samples = run._samples(run.task("task-0"), run.grades("task-0"))
        assert samples is not None
        assert [s.answer[:3] for s in samples.samples if s.answer] == ["new"] * 4  # estimators mix no agents


def test_a_comparison_mixes_neither_agents_nor_seeds(tmp_path: Path) -> None:
    ran(tmp_path, Player("bad"), ["single"])
    ran(tmp_path, Player("good"), ["vote@3"])
    with Run.open(tmp_path) as run:
        assert {c.strategy for c in run.choices()} == {"single", "vote@3"}
        assert {c.strategy for c in run.current_choices()} == {"vote@3"}
        assert run.comparison()["single"].n_tasks == 0
    ran(tmp_path, Player("good"), ["vote@3", "pass@2"], seed=7)
    with Run.open(tmp_path) as run:
        samples = run._samples(run.task("task-0"), run.grades("task-0"))
        assert samples is not None
        assert [s.number for s in samples.samples] == [0, 1, 2]


def test_a_race_alone_leaves_no_sample_to_estimate_from(tmp_path: Path) -> None:
    async def run_on(task: Task, attempt: Attempt) -> Rollout:
        for length in range(1, 2 + 100_000 * (attempt.index > 0)):
            attempt.progress(length)
            await anyio.lowlevel.checkpoint()
        return Rollout(answer=str(attempt.index))

    grader = ExpectedAnswer({"t": "0"})
    racing = Experiment(
        tasks=[Task("t", "x")], strategies=["short-1@4", "pass@1"], agent=ScriptedAgent(run_on), grader=grader
    )
    with anyio.run(racing.run, tmp_path) as run:
        found = run.comparison()
    assert found["short-1@4"].accuracy == 1.0
    assert found["pass@1"].n_tasks == 0


def test_a_larger_bound_asks_the_agent_again(tmp_path: Path) -> None:
    async def slow(task: Task, attempt: Attempt) -> Rollout:
        await anyio.sleep(0.05)
        return Rollout(answer="done")

    found = []
    for seconds in (0.001, 30.0):
        bounded = ScriptedAgent(slow, bound=Budget(seconds=seconds))
        with anyio.run(
            Experiment(tasks=[Task("t", "x")], strategies=["single"], agent=bounded).run, tmp_path
        ) as run:
            found.append({rollout.status for rollout in run.rollouts().values()})
    assert found == [{"limit"}, {"limit", "finished"}]


def test_an_estimator_needs_every_grade() -> None:
    with pytest.raises(UsageError, match="every rollout"):
        replace(experiment(Player(), ["single", "pass@2"]), grade="winners").check()


def test_a_broken_grader_grades_nothing_and_is_asked_again(tmp_path: Path) -> None:
    def broken(task: Task, rollout: Rollout) -> bool:
        raise FileNotFoundError("docker")

    async def once(grader: FunctionGrader) -> Comparison:
        whole = Experiment(
            tasks=[Task("t", "x")], strategies=["single"], agent=ScriptedAgent(), grader=grader
        )
        with await whole.run(tmp_path) as run:
            return run.comparison()

    with pytest.raises(UsageError, match="no grades"):
        anyio.run(once, FunctionGrader(broken, version="1"))
    assert anyio.run(once, FunctionGrader(fine, version="1"))["single"].accuracy == 1.0


def fine(task: Task, rollout: Rollout) -> bool:
    return True


def test_an_interrupt_stops_gently_and_a_resume_comes_to_the_same_winners(tmp_path: Path) -> None:
    names = ["vote@6", "rtv@6", "pdr-rtv@4"]
    whole = ran(tmp_path / "whole", Player(), names)

    async def interrupted(folder: Path, after: int) -> None:
        interrupt, seen = anyio.Event(), []

        def listen(event: Event) -> None:
            if isinstance(event, Ended):
                seen.append(event)
                if len(seen) == after:
                    interrupt.set()

        store = Store.open(folder)
        await experiment(Player(), names, listeners=[listen]).run_in(store, interrupt=interrupt)
        store.close()

    for after in (1, 7, 20, 45):
        folder = tmp_path / str(after)
        anyio.run(interrupted, folder, after)
        with Run.open(folder) as run:
            stopped = list(run.choices())
            reasons = {reason for c in stopped for reason in c.refusals}
        assert any(c.incomplete for c in stopped)
        assert not [c.error for c in stopped if c.error]
        assert "the run was interrupted" in reasons
        resumed = ran(folder, Player(), names)
        assert {k: (c.winner, c.pool) for k, c in resumed.items()} == {
            k: (c.winner, c.pool) for k, c in whole.items()
        }
        assert not any(c.incomplete for c in resumed.values())


class Untidy:
    """A stage that raises."""

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        raise ZeroDivisionError("in the stage")


def test_a_stage_that_raises_is_its_strategy_s_error_only(tmp_path: Path) -> None:
    bad = Pipeline(Sample(2), Untidy(), name="bad")
    choices = ran(tmp_path, Player(), [bad, "vote@3"])
    for task in TASKS:
        assert choices[task.id, "bad"].error == "ZeroDivisionError: in the stage"
        assert choices[task.id, "bad"].incomplete
        assert not choices[task.id, "vote@3"].error
        assert choices[task.id, "vote@3"].winner


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tasks": []}, "no tasks"),
        ({"tasks": [TASKS[0], TASKS[0]]}, "'task-0' comes twice"),
        ({"strategies": ["vote@4", "vote@4"]}, "named twice"),
        ({"strategies": ["votte@4"]}, "votte"),
        ({"strategies": ["sample(0)"]}, "1 or more"),
        ({"strategies": ["rtv@4"], "judge": None}, "needs a judge"),
        ({"strategies": ["rtv@4"], "summarizer": None}, "needs a summarizer"),
        ({"grade": "some"}, "'some'"),
        ({"workers": 0}, "1 or more"),
        ({"window": 0}, "1 or more"),
        ({"budget": Budget(usd=5), "agent": Player(bound=Budget())}, "--rollout-usd"),
        ({"task_budget": Budget(tokens=5), "agent": Player(bound=Budget(usd=1))}, "--rollout-tokens"),
        ({"task_budget": Budget(seconds=5), "agent": Player(bound=Budget())}, "--rollout-seconds"),
    ],
    ids=repr,
)
def test_bad_input_is_one_clear_line_before_anything_runs(
    fields: dict[str, Any], words: str, tmp_path: Path
) -> None:
    player = Player()
    with pytest.raises(UsageError) as told:
        ran(tmp_path / "run", **{"player": player, **fields})
    assert words in str(told.value)
    assert "\n" not in str(told.value) or "^" in str(told.value)
    assert player.did == []
    assert not (tmp_path / "run").exists()


CEILED: list[Any] = [
    ["single", "vote@4", "rtv@4", "pdr-rtv@3"],
    [Pipeline(Sample(5), RTV(group=3, votes=7, keep=2), Refine(3), RTV(group=3))],
    [Pipeline(Race(5, 2), RTV(votes=3, tie_rounds=3)), "sample(6)"],
]


@pytest.mark.parametrize("strategies", CEILED, ids=["presets", "groups", "race"])
@pytest.mark.parametrize("undecided", [True, False])
def test_no_run_costs_more_than_its_ceiling(strategies: list[Any], undecided: bool, tmp_path: Path) -> None:
    class Undecided(Player):
        turn = 0

        async def compare(self, task: Task, shown: Sequence[Candidate], *, n: int = 1) -> list[Verdict]:
            self.turn += 1
            votes = [shown[(self.turn + i) % len(shown)].rollout.key for i in range(n)]
            return [Verdict(preferred=key if i else None, usage=Usage(1)) for i, key in enumerate(votes)]

    player = Undecided(n_answers=99) if undecided else Player()
    asked = experiment(player, strategies, workers=1)
    highest = anyio.run(ceiling, TASKS, [strategy_of(s) for s in strategies], asked.cast)
    with anyio.run(replace(asked, grade="none").run, tmp_path) as run:
        paid = run.store.charged()
        counts = {
            kind: sum(n for (k, *_), n in run.store.counts().items() if k == kind)
            for kind in ("rollout", "summary", "verdict")
        }
    assert all(x <= most for x, most in zip(paid, amount(highest.cost), strict=True))
    assert counts["rollout"] <= highest.rollouts
    assert counts["summary"] <= highest.summaries
    assert counts["verdict"] <= highest.verdicts


def test_a_run_s_limit_is_a_hard_stop_over_all_strategies_and_resumes(tmp_path: Path) -> None:
    player = Player()
    choices = ran(tmp_path, player, ["vote@6", "rtv@6"], budget=Budget(rollouts=9))
    assert player.counts()["rollout"] == 9
    assert any(c.incomplete for c in choices.values())
    choices = ran(tmp_path, player, ["vote@6", "rtv@6"], budget=Budget(rollouts=18))
    assert player.counts()["rollout"] == 18
    assert not any(c.incomplete for c in choices.values())


def test_an_infrastructure_failure_is_retried_on_the_next_run_and_an_agent_s_failure_is_not(
    tmp_path: Path,
) -> None:
    class Shaky(Player):
        down = True

        async def run(self, task: Task, attempt: Attempt) -> Rollout:
            rollout = await super().run(task, attempt)
            if attempt.index == 0 and self.down:
                raise ConnectionError("the provider is down")
            if attempt.index == 1:
                raise ValueError("the agent's own fault")
            return rollout

    player = Shaky()
    choices = ran(tmp_path, player, ["vote@3"], tasks=TASKS[:1])
    assert choices["task-0", "vote@3"].incomplete
    assert len(choices["task-0", "vote@3"].pool) == 2
    player.down = False
    choices = ran(tmp_path, player, ["vote@3"], tasks=TASKS[:1])
    assert not choices["task-0", "vote@3"].incomplete
    assert len(choices["task-0", "vote@3"].pool) == 3
    assert sorted(index for kind, _, index in player.did if kind == "rollout") == ["0", "0", "1", "2"]
    with Run.open(tmp_path) as run:
        assert run.store.charged()[3] == 4.0  # both attempts were paid for


def test_a_listener_that_raises_harms_nobody(tmp_path: Path) -> None:
    def broken(event: Event) -> None:
        raise RuntimeError("a progress bar")

    choices = ran(tmp_path, Player(), listeners=[broken])
    assert all(c.winner for c in choices.values())


def test_a_choice_stands_until_something_that_it_rests_on_changes(tmp_path: Path) -> None:
    def found(experiment: Experiment) -> int:
        events = list[Event]()
        anyio.run(replace(experiment, listeners=[events.append]).run, tmp_path).close()
        assert not [event for event in events if isinstance(event, Started)]
        assert [event.strategy for event in events if isinstance(event, Chosen)] == ["vote@3"]
        return sum(isinstance(event, Found) for event in events)

    async def answer(task: Task, attempt: Attempt) -> Rollout:
        return Rollout(answer=str(attempt.seed % 2))

    agent = ScriptedAgent(answer, bound=Budget(seconds=9))
    asked = Experiment(tasks=[Task("t", "x")], strategies=["vote@3"], agent=agent)
    anyio.run(asked.run, tmp_path).close()
    assert found(asked) == 0
    assert found(replace(asked, task_budget=Budget(rollouts=5))) == 3
    assert found(replace(asked, task_budget=Budget(rollouts=5))) == 0
    assert found(replace(asked, strategies=[Pipeline(Sample(3), Vote(), name="vote@3")])) == 3


def test_what_a_choice_rests_on_is_known_where_its_stages_are_in_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_stage.py").write_text(
        "class Own:\n    async def __call__(self, pool, scope):\n        pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    stage = importlib.import_module("own_stage").Own()
    before = basis(Pipeline(stage), [])
    assert before == basis(Pipeline(Pipeline(stage)), [])
    assert before not in ("", basis(Pipeline(Sample(2)), []), basis(Pipeline(stage), [Budget(usd=1)]))
    os.utime(tmp_path / "own_stage.py", ns=(1, 1))
    assert before != basis(Pipeline(stage), [])
    monkeypatch.setattr(type(stage), "__module__", "__main__")
    assert basis(Pipeline(stage), []) == ""
    monkeypatch.delitem(sys.modules, "own_stage")


def test_what_a_choice_rests_on_is_not_known_where_a_stage_is_in_a_zip_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "class Own:\n    async def __call__(self, pool, scope):\n        pass\n"
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as packed:
        packed.writestr("zipped_stages/__init__.py", source)
    monkeypatch.syspath_prepend(tmp_path / "packed.zip")
    stage = importlib.import_module("zipped_stages").Own()
    assert basis(Pipeline(stage), []) == ""
    monkeypatch.delitem(sys.modules, "zipped_stages")
