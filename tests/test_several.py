"""Several agents that share a budget, and what a mixture of them can solve."""

from itertools import combinations, product

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tts_strategies.estimators import MixAtK, PassAtK

import tts
from tts.agents.several import Several, dearest, turns
from tts.cli.main import call
from tts.errors import UsageError
from tts.experiment import Experiment
from tts.samples import Sample, Samples
from tts.stats import pass_at_k, solve_probability
from tts.testing import AgentContract, ScriptedAgent
from tts.testing.provider import ModelServer, Says
from tts.types import Budget, Rollout, Task


def saying(text: str, **options) -> ScriptedAgent:
    async def script(task, attempt):
        attempt.record(tts.Step(action=text))
        return Rollout(answer=text)

    return ScriptedAgent(script, fingerprint=text, **options)


class TestSeveral(AgentContract):
    agent = Several({"a": saying("a"), "b": saying("b")})


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_every_prefix_is_as_near_to_the_shares_as_can_be(shares):
    names = {str(i): share for i, share in enumerate(shares)}
    order, total = turns(names), sum(shares)
    assert {name: order.count(name) for name in names} == names
    for i in range(1, total + 1):
        for name, share in names.items():
            assert abs(order[:i].count(name) - share * i / total) < len(shares)


def test_a_larger_run_keeps_what_a_smaller_one_made(tmp_path):
    agent = Several({"a": saying("a"), "b": saying("b")}, shares=(2, 1))
    rollouts = []
    for n in (4, 9):
        experiment = Experiment(tasks=[Task("t", "p")], strategies=[f"vote@{n}"], agent=agent, grade="none")
        with anyio.run(experiment.run, tmp_path) as run:
            rollouts.append([r.agent for r in sorted(run.rollouts("t").values(), key=lambda r: r.index)])
            n_records = len(list(run.store.records(kind="rollout")))
    assert rollouts[1][:4] == rollouts[0]
    assert (rollouts[1].count("a"), rollouts[1].count("b"), n_records) == (6, 3, 9)


def test_a_failed_attempt_says_whose_it_was():
    async def fails(task, attempt):
        raise RuntimeError("no")

    agent = Several({"good": saying("a"), "bad": ScriptedAgent(fails)})
    result = tts.solve_sync("p", agent=agent, strategy="vote@2")
    assert [(r.agent, r.status) for r in result.rollouts.values()] == [
        ("good", "finished"),
        ("bad", "failed"),
    ]


def test_bounds_are_the_dearest_and_unknown_where_one_is():
    cheap, dear = saying("a", bound=Budget(usd=1.0, tokens=9)), saying("b", bound=Budget(usd=2.0, tokens=3))
    assert Several({"a": cheap, "b": dear}).bound == Budget(usd=2.0, tokens=9)
    assert dearest([Budget(usd=1.0), Budget()]) == Budget()


def test_the_fingerprint_tells_agents_and_shares_apart():
    a, b = saying("a"), saying("b")
    many = [
        Several({"a": a, "b": b}),
        Several({"a": a, "b": b}, (2, 1)),
        Several({"a": a}),
        Several({"b": b, "a": a}),
    ]
    assert len({one.fingerprint for one in many}) == 4
    assert Several({"a": a, "b": b}, (1, 1)).fingerprint == many[0].fingerprint


@pytest.mark.parametrize("shares", [(1,), (1, 0), (1, 2, 3)])
def test_wrong_shares_are_refused(shares):
    with pytest.raises(UsageError, match="shares are whole numbers from 1"):
        Several({"a": saying("a"), "b": saying("b")}, shares)


@given(
    st.lists(
        st.tuples(st.lists(st.booleans(), min_size=1, max_size=4), st.integers(0, 4)), min_size=1, max_size=3
    )
)
def test_the_solve_probability_is_that_of_all_draws(agents):
    agents = [(grades, min(k, len(grades))) for grades, k in agents]
    draws = list(product(*(list(combinations(grades, k)) for grades, k in agents)))
    solved = sum(any(any(part) for part in draw) for draw in draws) / len(draws)
    n, c, k = zip(*((len(g), sum(g), k) for g, k in agents), strict=True)
    assert solve_probability(n, c, k) == pytest.approx(solved, abs=1e-12)


def test_one_agent_is_pass_at_k_and_wrong_counts_are_refused():
    assert solve_probability([10], [3], [4]) == pytest.approx(pass_at_k(10, 3, 4))
    for wrong in (([3], [1], [4]), ([3], [4], [1]), ([3, 3], [1], [1])):
        with pytest.raises(UsageError):
            solve_probability(*wrong)


def samples_of(**grades) -> Samples:
    rows = [(name, grade) for name, column in grades.items() for grade in column]
    samples = tuple(Sample(i, answer="x", correct=float(g), agent=name) for i, (name, g) in enumerate(rows))
    return Samples("t", samples, (0,) * len(samples))


def test_mix_at_k_divides_k_among_the_agents():
    samples = samples_of(a=[1, 0, 0, 0], b=[0, 0, 1, 1])
    value = MixAtK(3)(samples, draws=100, seed=0).value
    assert value == pytest.approx(solve_probability([4, 4], [1, 2], [2, 1]))
    graded = samples_of(a=[0.5, 0.0], b=[1.0, 0.0])
    assert MixAtK(2)(graded, draws=100, seed=0).value == pytest.approx((1.0 + 1.0 + 0.5 + 0.0) / 4)
    alone = samples_of(a=[1, 0, 0, 0])
    assert MixAtK(2)(alone, draws=1, seed=0).value == PassAtK(2)(alone, draws=1, seed=0).value
    with pytest.raises(UsageError, match="mix@9 of 2 agents"):
        MixAtK(9)(samples, draws=100, seed=0)


def test_models_share_the_attempts_of_a_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    (tmp_path / "tasks.jsonl").write_text('{"id": "t", "prompt": "p", "expected": "one"}\n')
    words = ["run", "--tasks", "tasks.jsonl", "-s", "vote@4", "-s", "mix@2", "-o", "out", "--json"]
    with ModelServer(lambda asked: Says(asked.model)) as server:
        two = ["--model", "openai/one", "--model", "openai/two", "--shares", "3:1"]
        assert call([*words, *two, "--base-url", server.openai_url]) == 0
        assert sorted(request.asked.model for request in server.requests)[-4:] == ["one", "one", "one", "two"]
    assert '"accuracy": 1.0' in capsys.readouterr().out
    for wrong, told in ((["--shares", "3"], "--shares 3"), (["--model", "openai/one"], "named twice")):
        assert call([*words, *two[:4], *wrong]) == 2
        assert told in capsys.readouterr().err
