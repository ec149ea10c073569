from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from statistics import fmean

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tts_strategies import estimators
from tts_strategies.race import Race
from tts_strategies.rtv import RTV
from tts_strategies.sample import Sample as Draw
from tts_strategies.vote import Vote

from tts.errors import UsageError
from tts.pipeline import Pipeline
from tts.protocols import Scope
from tts.replay import replay
from tts.replay.lanes import ReplayLane
from tts.replay.recorded import read_pool, read_verdicts
from tts.samples import Samples
from tts.types import Budget, Effect, Pool, Rollout

Record = dict[str, object]


def pool(answers: str, *, right: str = "a", task: str = "t", **columns: Sequence[object]) -> list[Record]:
    """One task; each letter is a sample's answer, a dot is none."""
    records: list[Record] = []
    for i, answer in enumerate(answers):
        graded = {"answer": None if answer == "." else answer, "correct": answer == right}
        fields = {name: values[i] for name, values in columns.items()}
        records.append({"task_id": task, "sample": i, **graded, **fields})
    return records


def one(records: Sequence[Record]) -> Samples:
    (samples,) = read_pool(records)
    return samples


def expected(estimator: estimators.VoteAtK | object, samples: Samples, *, draws: int = 100) -> float:
    return estimator(samples, draws=draws, seed=0).value  # type: ignore[operator]


def voted(answers: Sequence[str], *, first: bool = False) -> float:
    """Credit of a vote among letters, right answer a: an independent reading of the rule."""
    letters = [x for x in answers if x != "."]
    if not letters:
        return 0.0
    most = max(letters.count(x) for x in letters)
    leaders = [x for x in dict.fromkeys(letters) if letters.count(x) == most]
    return float(leaders[0] == "a") if first else leaders.count("a") / len(leaders)


ANSWERS = st.text("aabc.", min_size=1, max_size=8)


@given(ANSWERS, st.data())
def test_vote_is_the_mean_over_all_subsets(answers: str, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(answers)))
    found = expected(estimators.VoteAtK(k), one(pool(answers)))
    assert found == pytest.approx(fmean(voted(s) for s in combinations(answers, k)), abs=1e-9)


@given(ANSWERS, st.data())
def test_short_m_is_the_mean_over_all_subsets(answers: str, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(answers)))
    m = data.draw(st.integers(1, k))
    lengths = data.draw(st.permutations(range(1, len(answers) + 1)))
    by_length = [a for _, a in sorted(zip(lengths, answers, strict=True))]
    found = expected(estimators.ShortMAtK(m, k), one(pool(answers, length=lengths)))
    assert found == pytest.approx(
        fmean(voted(s[:m], first=True) for s in combinations(by_length, k)), abs=1e-9
    )


@given(ANSWERS, st.data())
def test_best_at_k_shares_the_credit_of_equal_scores(answers: str, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(answers)))
    scores = data.draw(st.lists(st.integers(0, 2), min_size=len(answers), max_size=len(answers)))

    def credit(subset: Sequence[tuple[int, str]]) -> float:
        top = [a for s, a in subset if s == max(subset)[0]]
        return top.count("a") / len(top)

    wanted = fmean(credit(s) for s in combinations(zip(scores, answers, strict=True), k))
    assert expected(estimators.BestAtK(k), one(pool(answers, score=scores))) == pytest.approx(
        wanted, abs=1e-9
    )


def test_the_credit_of_an_answer_is_the_share_of_its_samples_that_are_right() -> None:
    records = pool("bbbc")
    records[0]["correct"] = True
    assert expected(estimators.VoteAtK(4), one(records)) == pytest.approx(1 / 3)


def test_a_vote_over_many_samples_neither_overflows_nor_drifts() -> None:
    samples = one(pool("a" * 900 + "b" * 300))
    assert expected(estimators.VoteAtK(1), samples) == pytest.approx(0.75)
    assert expected(estimators.VoteAtK(200), samples) == pytest.approx(1.0)


def test_pass_at_k_and_pass_hat_k_of_fractional_grades_are_best_and_worst_of_k() -> None:
    records = pool("abc")
    for record, grade in zip(records, (0.2, 0.5, 1.0), strict=True):
        record["correct"] = grade
    assert expected(estimators.PassAtK(2), one(records)) == pytest.approx((0.5 + 1 + 1) / 3)
    assert expected(estimators.PassHatK(2), one(records)) == pytest.approx((0.2 + 0.2 + 0.5) / 3)


def test_too_many_subsets_are_drawn_and_say_so() -> None:
    answers = "ab.acb" * 20
    samples = one(pool(answers, length=[(7 * i) % 120 for i in range(120)]))
    drawn = estimators.ShortMAtK(3, 6)(samples, draws=4_000, seed=1)
    again = estimators.ShortMAtK(3, 6)(samples, draws=4_000, seed=1)
    assert drawn.mc_se is not None
    assert 0 < drawn.mc_se < 0.01
    assert drawn == again
    # The same race in another unit of work: all subsets, weighted by their place, in plain Python.
    order = sorted(range(120), key=lambda i: (7 * i) % 120)
    weights = estimators._last_place_weights(120, 6, 3)
    exact = sum(
        weights[s[-1]] * voted([answers[order[i]] for i in s], first=True)
        for s in combinations(range(120), 3)
    )
    assert abs(drawn.value - exact) < 4 * drawn.mc_se


SHORT = Pipeline(Race(k=3, m=2), Vote("exact", ties="shortest"))
VOTE = Pipeline(Draw(3), Vote("exact"))


@settings(max_examples=25 if os.environ.get("TTS_THOROUGH") else 8, deadline=None)
@given(st.text("aabc.", min_size=3, max_size=6), st.data())
def test_the_stages_agree_with_the_estimators(answers: str, data: st.DataObject) -> None:
    lengths = data.draw(st.permutations([float(2**i) for i in range(len(answers))]))
    tokens = [3 * length for length in lengths]
    recording = pool(answers, length=lengths, output_tokens=tokens, seconds=lengths, cost_usd=lengths)
    fast = replay(recording, ["short", "vote"], resolve={"short": SHORT_FAST, "vote": VOTE_FAST}.__getitem__)
    slow = replay(recording, [SHORT, VOTE], draws=400)
    short, vote = slow.strategies
    assert short.exact
    assert short.accuracy == pytest.approx(fast["short"].accuracy, abs=1e-9)
    assert abs((vote.accuracy or 0) - (fast["vote"].accuracy or 0)) <= 5 * (vote.mc_se or 1e-10)
    for stages, estimator in zip(slow.strategies, fast.strategies, strict=True):
        for part in ("calls", "output_tokens", "usd", "critical_seconds"):
            assert getattr(stages.cost, part) == pytest.approx(getattr(estimator.cost, part))


SHORT_FAST = estimators.ShortMAtK(2, 3)
VOTE_FAST = estimators.VoteAtK(3)


def test_a_cut_sample_costs_what_it_had_reached() -> None:
    recording = pool("aab", length=[10, 20, 40], output_tokens=[100, 200, 400], seconds=[1, 2, 4])
    (result,) = replay(recording, [Pipeline(Race(k=3, m=2))]).strategies
    assert result.cost.output_tokens == pytest.approx(100 + 200 + 200)
    assert result.cost.critical_seconds == pytest.approx(2)
    assert result.cost.usd is None


def test_a_race_goes_by_tokens_and_seconds_where_lengths_are_missing() -> None:
    by_tokens = pool("ab", output_tokens=[9, 3], seconds=[1, 2])
    assert expected(estimators.ShortMAtK(1, 2), one(by_tokens)) == 0.0
    assert expected(estimators.ShortMAtK(1, 2), one(pool("ab", seconds=[1, 2]))) == 1.0
    partly = pool("ab", length=[1, None], seconds=[2, 1])
    assert expected(estimators.ShortMAtK(1, 2), one(partly)) == 0.0
    for strategy in (Pipeline(Race(k=2)), SHORT_FAST):
        with pytest.raises(UsageError, match="output_tokens"):
            replay(pool("aba"), [strategy])


@dataclass(frozen=True)
class Adaptive:
    """Takes one sample, and two more unless it says a."""

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        (first,) = await scope.sample(1)
        more = [] if first.answer == "a" else await scope.sample(2, start=1)
        return Pool((*more, first))


def test_a_strategy_that_takes_as_many_as_it_needs_is_replayed_by_draws() -> None:
    (result,) = replay(pool("aabb"), [Pipeline(Adaptive(), name="adaptive")], draws=4_000).strategies
    # a first: 1/2; else the winner is the second dealt, which is a in 2 of 3 cases.
    assert result.accuracy == pytest.approx(1 / 2 + 1 / 2 * 2 / 3, abs=5 * (result.mc_se or 0))
    assert result.cost.calls == pytest.approx(2, abs=0.1)


class EarliestOfThree:
    """Its winner depends on the order in which the samples are dealt."""

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        return Pool(tuple(await scope.sample(3)))


def test_the_order_of_samples_is_random_and_noticed() -> None:
    (result,) = replay(pool("aabb"), [Pipeline(EarliestOfThree(), name="earliest")], draws=2_000).strategies
    assert not result.exact
    assert result.accuracy == pytest.approx(0.5, abs=5 * (result.mc_se or 0))


@pytest.mark.parametrize("seed", range(6))
def test_an_order_that_matters_is_noticed_even_where_its_reverse_agrees(seed: int) -> None:
    (result,) = replay(pool("aba"), [Pipeline(EarliestOfThree(), name="earliest")], seed=seed).strategies
    assert not result.exact
    assert result.accuracy == pytest.approx(2 / 3, abs=5 * (result.mc_se or 0))


def test_a_lane_that_ended_and_is_then_cut_counts_up_to_the_cut() -> None:
    lane = ReplayLane(Rollout(key="t/0", length=10.0), length=10.0, ended=True)
    assert (lane.share, lane.thought) == (1.0, True)
    lane.stop(at=4.0)
    lane.stop()
    assert (lane.share, lane.rollout) == (0.4, None)


def test_single_is_the_mean_exactly_and_asking_twice_costs_once() -> None:
    class Twice:
        async def __call__(self, pool: Pool, scope: Scope) -> Pool:
            await scope.sample(1)
            return Pool(tuple(await scope.sample(1)))

    (result,) = replay(pool("aabbb"), [Pipeline(Twice(), name="twice")]).strategies
    assert result.accuracy == pytest.approx(0.4)
    assert result.exact
    assert result.cost.calls == 1


def verdict(preferred: int | None, *shown: int, **more: object) -> Record:
    return {"task_id": "t", "shown": list(shown), "preferred": preferred, "judge": "j", **more}


def test_recorded_verdicts_decide_a_tournament() -> None:
    votes = [verdict(1, 0, 1), verdict(1, 1, 0), verdict(2, 1, 2), verdict(0, 0, 2)]
    (result,) = replay(pool("bca"), [Pipeline(Draw(2), RTV(votes=2))], verdicts=votes).strategies
    # {0,1} goes to 1 (c), {1,2} to 2 (a), {0,2} to 0 (b).
    assert result.accuracy == pytest.approx(1 / 3)
    assert result.exact
    assert result.cost.calls == pytest.approx(2 + (2 + 1 + 1) / 3)
    assert result.cost.usd is None


def test_votes_come_in_turn_over_the_orders_shown() -> None:
    class FirstTwo:
        async def __call__(self, pool: Pool, scope: Scope) -> Pool:
            rollouts = await scope.sample(2)
            (tally,) = await scope.compare([rollouts], votes=2)
            assert {v.shown for v in tally.verdicts} == {("t/0", "t/1"), ("t/1", "t/0")}
            assert tally.votes == {r.key: 1 for r in rollouts}
            return Pool(tuple(rollouts))

    votes = [verdict(0, 0, 1), verdict(0, 0, 1), verdict(1, 1, 0)]
    replay(pool("ab"), [Pipeline(FirstTwo(), name="first two")], verdicts=votes)


class AsksFor:
    """A stage that asks for one thing and hides the refusal."""

    def __init__(self, what: str) -> None:
        self.what = what

    async def __call__(self, pool: Pool, scope: Scope) -> Pool:
        rollouts = await scope.sample(2)
        summary = await scope.summarize(rollouts[0])
        assert summary.render().count("\n") <= 1
        try:
            if self.what == "refined":
                await scope.sample(1, start=2, priors=[summary])
            elif self.what == "score":
                await scope.do(Effect("score", scope.task, Rollout, "x"))
            else:
                await scope.compare([rollouts], votes=1)
        except Exception:  # noqa: BLE001 - hiding it is the point
            return pool
        return pool


@pytest.mark.parametrize("what", ["refined", "score", "verdict"])
def test_what_is_not_recorded_is_named_even_when_a_stage_hides_it(what: str) -> None:
    with pytest.raises(UsageError, match=rf"asks.*task 't'.*{what}.*") as caught:
        replay(pool("ab"), [Pipeline(AsksFor(what), name="asks")])
    assert "record" in str(caught.value)


def test_a_task_with_too_few_samples_is_named() -> None:
    recording = [*pool("aaa", length=[1, 2, 3]), *pool("ab", task="small one", length=[1, 2])]
    for strategy in (VOTE, SHORT_FAST, VOTE_FAST, estimators.PassAtK(3), estimators.PassHatK(3)):
        with pytest.raises(UsageError, match="'small one' has 2 samples"):
            replay(recording, [strategy])


def test_a_pipeline_that_samples_nothing_is_told_how_to_begin() -> None:
    with pytest.raises(UsageError, match="sample"):
        replay(pool("ab"), [Pipeline(Vote())])


def test_votes_without_answers_are_refused_rather_than_scored_zero() -> None:
    bare = [{"task_id": "t", "sample": i, "correct": i == 0} for i in range(2)]
    with pytest.raises(UsageError, match="answer"):
        replay(bare, ["vote"], resolve=lambda _: estimators.VoteAtK(2))
    (single,) = replay(bare, [Pipeline(Draw(1))]).strategies
    assert single.accuracy == 0.5


def test_the_scope_has_no_limits_and_its_random_numbers_follow_seed_and_pool() -> None:
    seen: list[float] = []

    class Looks:
        async def __call__(self, pool: Pool, scope: Scope) -> Pool:
            rollouts = await scope.sample(1)
            inner = scope.enter(Pool(tuple(rollouts)), label="x", keep=0.5)
            assert scope.remaining == Budget()
            assert inner.rng("a").random() == inner.rng("a").random() != inner.rng("b").random()
            seen.append(inner.rng("a").random())
            return Pool(tuple(rollouts))

    for seed in (0, 0, 1):
        replay(pool("ab"), [Pipeline(Looks(), name="looks")], seed=seed)
    third = len(seen) // 3
    assert seen[:third] == seen[third : 2 * third] != seen[2 * third :]


def test_replay_runs_inside_an_event_loop_too() -> None:
    async def notebook() -> float | None:
        return replay(pool("ab"), [Pipeline(Draw(1))])["sample(1)"].accuracy

    assert anyio.run(notebook) == 0.5


def test_a_strategy_named_twice_is_refused_before_the_work() -> None:
    with pytest.raises(UsageError, match="twice"):
        replay(pool("ab"), ["x", "x"], resolve=lambda _: estimators.PassAtK(9))


def test_seeds_and_tasks_draw_differently_and_a_negative_seed_is_as_good() -> None:
    samples = one(pool("ab.acb" * 20, length=range(120)))
    short = estimators.ShortMAtK(3, 6)
    values = {short(replace(samples, task_id=t), draws=50, seed=s).value for t in "tu" for s in (-1, 0)}
    assert len(values) > 1


def test_names_are_as_given_and_groups_cluster() -> None:
    recording = [*pool("ab", task="x", group=["g", "g"]), *pool("bb", task="y", group=["g", "g"])]
    found = replay(recording, ["my name"], resolve=lambda _: estimators.PassAtK(2))
    document = found.to_json()
    assert document["strategies"][0] | {"cost": None} == {
        "name": "my name",
        "n_tasks": 2,
        "accuracy": 0.5,
        "se": None,
        "ci95": None,
        "oracle": True,
        "cost": None,
    }
    assert [t["group"] for t in document["tasks"]] == ["g", "g"]


def test_a_pool_file_is_read_as_records_are(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    lines = [json.dumps(r | {"text": "ignored"}) for r in pool("ab.", score=[1, 2.5, None])]
    path.write_text("\ufeff" + "\n\n".join(lines) + "\n", encoding="utf-8")
    assert read_pool(path) == read_pool(pool("ab.", score=[1, 2.5, None]))
    samples = read_pool(path)[0]
    assert samples.classes == (0, 1, None)
    assert [s.score for s in samples.samples] == [1.0, 2.5, None]


GOOD = b'{"task_id": "t", "sample": 0, "correct": true}\n'


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"{", "not JSON"),
        (b"[1]", "not an object"),
        (b"\xff\xfe", "UTF-8"),
        (b"[" * 100_000, "not JSON"),
        (b'{"sample": 1}', "`task_id`"),
        (b'{"task_id": "", "sample": 1}', "`task_id`"),
        (b'{"task_id": "t\\u001b[2J", "sample": 1}', "printable"),
        (b'{"task_id": "t"}', "`sample`"),
        (b'{"task_id": "t", "sample": true}', "`sample`"),
        (b'{"task_id": "t", "sample": -1}', "`sample`"),
        (b'{"task_id": "t", "sample": 0}', "twice"),
        (b'{"task_id": "t", "sample": 1, "group": "g"}', "group"),
        (b'{"task_id": "t", "sample": 1, "correct": 2}', "`correct`"),
        (b'{"task_id": "t", "sample": 1, "correct": "yes\\u001b"}', "`correct`"),
        (b'{"task_id": "t", "sample": 1, "correct": NaN}', "`correct`"),
        (b'{"task_id": "t", "sample": 1, "length": -3}', "`length`"),
        (b'{"task_id": "t", "sample": 1, "cost_usd": 1' + b"0" * 400 + b"}", "`cost_usd`"),
        (b'{"task_id": "t", "sample": 1, "answer": ["x"]}', "`answer`"),
    ],
)
def test_a_bad_line_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: bytes, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("pool.jsonl")
    path.write_bytes(GOOD + b"\n" + line + b"\n")
    with pytest.raises(UsageError, match="line 3") as caught:
        read_pool(path)
    assert told in str(caught.value)
    assert str(path.name) in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_files_that_are_no_pools(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"\n")
    for path, told in (
        (tmp_path / "none", "cannot read"),
        (tmp_path, "cannot read"),
        (tmp_path / "empty", "no samples"),
    ):
        with pytest.raises(UsageError, match=told):
            read_pool(path)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"shown": [0]}, "two or more"),
        ({"shown": [0, 0]}, "two or more"),
        ({"shown": "01"}, "list"),
        ({"shown": [0, 1], "preferred": 2}, "one of `shown`"),
        ({"shown": [0, 1], "preferred": "0"}, "`preferred`"),
    ],
)
def test_a_bad_verdict_is_named(record: Record, told: str) -> None:
    with pytest.raises(UsageError, match=f"record 1: .*{told}"):
        read_verdicts([{"task_id": "t", **record}])


@pytest.mark.parametrize("stranger", [verdict(0, 0, 9), verdict(0, 0, 1) | {"task_id": "u"}])
def test_a_verdict_on_what_is_not_in_the_pool_is_refused(stranger: Record) -> None:
    with pytest.raises(UsageError, match="does not have"):
        replay(pool("ab"), [Pipeline(Draw(1))], verdicts=[stranger])


def test_an_ungraded_sample_is_named() -> None:
    recording = [*pool("a"), {"task_id": "t", "sample": 7, "answer": "b"}]
    with pytest.raises(UsageError, match="sample 7: `correct`"):
        replay(recording, [Pipeline(Draw(1))])


@pytest.mark.parametrize(
    "make",
    [
        lambda: estimators.VoteAtK(0),
        lambda: estimators.PassAtK(k=0),
        lambda: estimators.ShortMAtK(m=4, k=3),
        lambda: replay(pool("ab"), [], draws=1),
    ],
)
def test_bad_numbers(make: object) -> None:
    with pytest.raises(UsageError):
        make()  # type: ignore[operator]


@given(ANSWERS, st.integers(1, 8))
def test_relabelling_answers_changes_nothing(answers: str, k: int) -> None:
    samples = one(pool(answers))
    k = min(k, len(samples))
    renamed = replace(samples, classes=tuple(None if c is None else 9 - c for c in samples.classes))
    assert expected(estimators.VoteAtK(k), renamed) == pytest.approx(expected(estimators.VoteAtK(k), samples))
