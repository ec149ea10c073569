from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.comparison import Measured, compare
from tts.errors import UsageError
from tts.samples import Cost
from tts.stats import accuracy

CLUSTERS = {"t1": "django", "t2": "django", "t3": "", "t4": "sympy"}


def measured(name: str, *values: float, oracle: bool = False, **more: object) -> Measured:
    return Measured(name, dict(zip(CLUSTERS, values, strict=False)), oracle=oracle, **more)  # type: ignore[arg-type]


def test_the_document_has_the_published_shape() -> None:
    one_dollar = dict.fromkeys(CLUSTERS, Cost(calls=4, output_tokens=None, usd=1.0, critical_seconds=2.0))
    document = compare(
        [measured("a", 1, 0, 1, 1, costs=one_dollar), measured("b", 0, 0, 1, 0)], CLUSTERS
    ).to_json()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    first = document["strategies"][0]
    assert list(first) == ["name", "n_tasks", "accuracy", "se", "ci95", "oracle", "cost"]
    assert first["cost"] == {
        "calls": 4,
        "input_tokens": 0,
        "cached_input_tokens": 0,
        "output_tokens": None,
        "usd": 1.0,
        "critical_seconds": 2.0,
        "critical_tokens": None,
    }
    assert set(document["strategies"][1]["cost"].values()) == {None}
    assert [list(c) for c in document["comparisons"]] == [
        ["a", "b", "difference", "se", "ci95", "p", "p_holm"]
    ]
    assert document["tasks"][2] == {"task_id": "t3", "group": None, "values": {"a": 1, "b": 1}}


def test_errors_are_clustered_by_group_and_a_task_without_one_stands_alone() -> None:
    a = compare([measured("a", 1, 0, 1, 1)], CLUSTERS)["a"]
    # Mean 0.75; residual sums: django -0.5, t3 0.25, sympy 0.25; three clusters, four tasks.
    assert a.se == pytest.approx((0.375 * 3 / 2) ** 0.5 / 4)
    values, clusters = [1.0, 0.0, 1.0, 1.0], ["django", "django", "t3", "sympy"]
    assert a.ci95 == pytest.approx(accuracy(values, clusters=clusters).ci95)
    assert a.ci95 != accuracy(values).ci95


def test_pairs_come_in_the_order_given_and_only_over_common_tasks() -> None:
    few = Measured("few", {"t3": 0.0, "t4": 1.0})
    found = compare([few, measured("all", 1, 1, 1, 0), measured("none")], CLUSTERS)
    assert [(c.a, c.b, c.difference) for c in found.comparisons] == [
        ("few", "all", 0.0),
        ("few", "none", None),
        ("all", "none", None),
    ]
    assert found["none"].accuracy is None
    assert found["none"].n_tasks == 0
    json.dumps(found.to_json(), allow_nan=False)


def test_an_oracle_does_not_weaken_the_comparison_of_honest_strategies() -> None:
    honest = [measured("a", 1, 0.5, 1, 0.2), measured("b", 0, 0.1, 0.3, 0)]
    oracle = measured("pass@2", 1, 1, 1, 0.9, oracle=True)
    alone, beside = compare(honest, CLUSTERS), compare([*honest, oracle], CLUSTERS)
    assert alone.comparisons[0] == beside.comparisons[0]
    assert alone.comparisons[0].p_holm == alone.comparisons[0].p
    with_oracle = beside.comparisons[1:]
    smallest = min(with_oracle, key=lambda c: c.p)
    assert smallest.p_holm == pytest.approx(min(1.0, 2 * smallest.p))


def test_the_monte_carlo_error_of_the_mean_is_shown_where_there_is_one() -> None:
    found = compare(
        [measured("a", 0.5, 0.5, 0.5, 0.5, mc_se={"t1": 0.3, "t2": 0.4}), measured("b", 1)], CLUSTERS
    )
    assert found["a"].mc_se == pytest.approx(0.5 / 4)
    assert found["b"].exact
    assert [line.get("mc_se") for line in found.to_json()["strategies"]] == [found["a"].mc_se, None]
    assert "mc_se" not in found.to_json()["strategies"][1]


def test_recovered_share_by_name() -> None:
    found = compare([measured("s", 0.2), measured("r", 0.4), measured("o", 0.6, oracle=True)], CLUSTERS)
    assert found.recovered("r", single="s", oracle="o") == pytest.approx(0.5)


def test_a_cost_unknown_for_one_task_is_unknown() -> None:
    costs = {"t1": Cost(usd=1.0, calls=2), "t2": Cost(usd=None, calls=4)}
    found = compare([measured("a", 1, 1, costs=costs), measured("b", 1, 1, 1, costs=costs)], CLUSTERS)
    assert (found["a"].cost.usd, found["a"].cost.calls) == (None, 3)
    assert found["b"].cost.calls is None


@pytest.mark.parametrize(
    ("strategies", "told"),
    [
        ([measured("a", 1), measured("a", 0)], "twice"),
        ([measured("a", 1.5)], "1.5"),
        ([Measured("a", {"t9": 1.0})], "t9"),
    ],
)
def test_bad_input(strategies: list[Measured], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        compare(strategies, CLUSTERS)


@given(st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=2, max_size=4))
def test_adjusted_p_values_are_never_smaller(rows: list[list[float]]) -> None:
    found = compare([measured(f"s{i}", *row) for i, row in enumerate(rows)], CLUSTERS)
    assert len(found.comparisons) == len(rows) * (len(rows) - 1) // 2
    for pair in found.comparisons:
        assert pair.p is not None
        assert pair.p_holm is not None
        assert pair.p <= pair.p_holm <= 1
        if pair.ci95 and pair.se:
            assert (pair.p < 0.05) == (not pair.ci95[0] <= 0 <= pair.ci95[1])
