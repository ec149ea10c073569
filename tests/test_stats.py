from __future__ import annotations

import math
from itertools import combinations, product
from statistics import fmean

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from tts import stats
from tts.errors import UsageError

VALUES = st.lists(st.floats(0, 1), min_size=2, max_size=30)


def counts() -> st.SearchStrategy[tuple[int, int, int]]:
    return st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n)))


@given(counts())
def test_pass_at_k_and_pass_hat_k_count_subsets(case: tuple[int, int, int]) -> None:
    n, c, k = case
    subsets = list(combinations([1] * c + [0] * (n - c), k))
    assert stats.pass_at_k(n, c, k) == pytest.approx(fmean(map(max, subsets)), abs=1e-12)
    assert stats.pass_hat_k(n, c, k) == pytest.approx(fmean(map(min, subsets)), abs=1e-12)


def test_pass_at_k_does_not_cancel_for_many_samples() -> None:
    assert stats.pass_at_k(100_000, 1, 1) == 1e-5
    assert stats.pass_hat_k(5_000, 4_999, 5) == pytest.approx(4_995 / 5_000)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8), st.data())
def test_best_at_k_averages_the_first_of_each_subset(values: list[float], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(values)))
    expected = fmean(values[min(s)] for s in combinations(range(len(values)), k))
    assert stats.best_at_k(values, k) == pytest.approx(expected, abs=1e-9)


@given(counts())
def test_best_at_k_of_grades_is_pass_at_k(case: tuple[int, int, int]) -> None:
    n, c, k = case
    assert stats.best_at_k([1.0] * c + [0.0] * (n - c), k) == pytest.approx(stats.pass_at_k(n, c, k))


@given(st.lists(st.floats(0, 100), min_size=1, max_size=8), st.data())
def test_short_m_cost_enumerates(lengths: list[float], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(lengths)))
    m = data.draw(st.integers(1, k))
    cuts = [(s, sorted(s)[m - 1]) for s in combinations(lengths, k)]
    cost = stats.short_m_at_k_cost(lengths, k, m)
    assert cost.time == pytest.approx(fmean(t for _, t in cuts))
    assert cost.compute == pytest.approx(fmean(sum(min(x, t) for x in s) for s, t in cuts))


@pytest.mark.parametrize(
    "call",
    [
        lambda: stats.pass_at_k(4, 2, 5),
        lambda: stats.pass_at_k(4, 5, 2),
        lambda: stats.pass_hat_k(4, 2, 0),
        lambda: stats.best_at_k([], 1),
        lambda: stats.best_at_k([1.0], 2),
        lambda: stats.short_m_at_k_cost([1.0, 2.0], 2, 3),
        lambda: stats.mean([]),
        lambda: stats.mean([math.nan]),
        lambda: stats.mean([1.0, 2.0], clusters=["a"]),
        lambda: stats.paired_difference([1.0], [1.0, 0.0]),
        lambda: stats.wilson(3, 2),
        lambda: stats.mcnemar(-1, 2),
        lambda: stats.power_n(0.1, 0.0),
    ],
)
def test_bad_input_is_one_clear_line(call: object) -> None:
    with pytest.raises(UsageError) as caught:
        call()  # type: ignore[operator]
    assert len(str(caught.value)) > 15
    assert "\n" not in str(caught.value)


@given(VALUES)
def test_the_mean_without_clusters_is_the_textbook_one(values: list[float]) -> None:
    found = stats.mean(values)
    assert found.value == pytest.approx(np.mean(values))
    assert found.se == pytest.approx(scipy.stats.sem(values), abs=1e-11)
    if found.se == 0.0:
        flat = values[0] in (0, 1)
        assert found.ci95 == (stats.wilson(round(sum(values)), len(values)) if flat else None)
        return
    low, high = found.ci95 or (math.nan, math.nan)
    reach = scipy.stats.t.ppf(0.975, len(values) - 1) * scipy.stats.sem(values)
    assert (low, high) == pytest.approx((np.mean(values) - reach, np.mean(values) + reach), abs=1e-9)


def test_the_clustered_error_is_that_of_the_formula() -> None:
    values, clusters = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0], list("aabbcc")
    # Mean 0.5; cluster sums of residuals 0, 1 and -1; sqrt(2) / 6 * sqrt(3 / 2).
    found = stats.mean(values, clusters=clusters)
    assert found.se == pytest.approx(math.sqrt(2) / 6 * math.sqrt(1.5))
    assert found.ci95 is not None
    assert found.ci95[1] - 0.5 == pytest.approx((found.se or 0) * scipy.stats.t.ppf(0.975, 2))


@given(VALUES, st.randoms())
def test_the_clustered_error_knows_no_order_and_single_clusters_change_nothing(values, random) -> None:
    clusters = [random.randrange(4) for _ in values]
    pairs = list(zip(values, clusters, strict=True))
    random.shuffle(pairs)
    one = stats.mean(values, clusters=clusters).se
    other = stats.mean([v for v, _ in pairs], clusters=[c for _, c in pairs]).se
    assert one == (None if other is None else pytest.approx(other, abs=1e-9))
    assert stats.mean(values, clusters=range(len(values))).se == stats.mean(values).se


def test_one_task_or_one_cluster_has_no_error() -> None:
    assert stats.mean([0.3]) == stats.Estimate(0.3, None, None, 1)
    assert stats.mean([0.0, 1.0], clusters=["a", "a"]).se is None
    assert stats.paired_difference([1.0], [0.0]) == stats.Difference(1.0, None, None, None, 1)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=20))
def test_the_paired_test_is_scipys_and_changes_sign_with_its_sides(pairs: list[tuple[float, float]]) -> None:
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    there, back = stats.paired_difference(a, b), stats.paired_difference(b, a)
    assert there.value == pytest.approx(-back.value)
    assert there.p == back.p
    if np.std(np.subtract(a, b)) > 1e-6:
        assert there.p == pytest.approx(scipy.stats.ttest_rel(a, b).pvalue, abs=1e-9)


def test_a_difference_without_spread() -> None:
    assert stats.paired_difference([0.1, 0.7], [0.1, 0.7]).p == 1.0
    assert stats.paired_difference([0.3, 0.6, 0.9], [0.2, 0.5, 0.8]).p == 0.25
    clustered = stats.paired_difference([1.0] * 4, [0.0] * 4, clusters=list("aabb"))
    assert (clustered.se, clustered.ci95, clustered.p) == (0.0, None, 0.5)


@given(st.integers(0, 12), st.integers(0, 12))
def test_mcnemar_enumerates_coin_flips(only_a: int, only_b: int) -> None:
    n, low = only_a + only_b, min(only_a, only_b)
    tail = sum(math.comb(n, i) for i in range(low + 1)) / 2**n
    assert stats.mcnemar(only_a, only_b) == pytest.approx(min(1.0, 2 * tail))


def test_holm_by_hand() -> None:
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.9, 0.8]) == [1.0, 1.0]
    assert stats.holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_order_and_stays_between_p_and_bonferroni(ps: list[float]) -> None:
    adjusted = stats.holm(ps)
    for p, q in zip(ps, adjusted, strict=True):
        assert p <= q <= min(1.0, len(ps) * p) + 1e-12 or q == max(adjusted)
    for (p, q), (r, s) in product(zip(ps, adjusted, strict=True), repeat=2):
        assert p > r or q <= s


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_solves_its_equation(case: tuple[int, int]) -> None:
    successes, n = case
    z, rate = scipy.stats.norm.ppf(0.975), successes / n
    low, high = stats.wilson(successes, n)
    assert 0 <= low <= rate + 1e-12
    assert rate - 1e-12 <= high <= 1
    for bound in (low, high):
        if 0 < bound < 1:
            assert abs(rate - bound) == pytest.approx(z * math.sqrt(bound * (1 - bound) / n), abs=1e-9)


def test_recovered_share() -> None:
    assert stats.recovered_share(0.6, 0.5, 0.9) == pytest.approx(0.25)
    assert stats.recovered_share(0.5, 0.5, 0.5) is None


def test_power_is_reached_at_n_and_not_at_half_of_it() -> None:
    n = stats.power_n(0.25, 0.1)
    assert n == math.ceil((1.959964 + 0.841621) ** 2 * 25)
    assert scipy.stats.norm.cdf(0.1 / math.sqrt(0.25 / n) - 1.959964) == pytest.approx(0.8, abs=0.002)
    assert stats.power_n(0.0, 0.1) == 2
