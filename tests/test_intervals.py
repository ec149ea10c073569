"""Intervals and clustered errors beside independent implementations, and their coverage counted exactly."""

from __future__ import annotations

import math
from importlib.util import find_spec
from itertools import product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from tts import stats
from tts.clusters import spread
from tts.errors import UsageError

VERIFIED = (231, 75, 44, 34, 32, 22, 22, 19, 10, 8, 2, 1)
"""How many of SWE-bench Verified's 500 tasks each of its 12 repositories has."""

needs_statsmodels = pytest.mark.skipif(find_spec("statsmodels") is None, reason="not installed: statsmodels")

groups = st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=4), min_size=2, max_size=6)


def by_matrices(values, clusters):
    """CR2 and Satterthwaite's degrees of freedom by their definition, with matrices."""
    names, x = list(dict.fromkeys(clusters)), np.ones((len(values), 1))
    hat = x @ np.linalg.inv(x.T @ x) @ x.T
    rest = np.eye(len(values)) - hat
    residual = rest @ np.array(values)
    variance, columns = 0.0, []
    for name in names:
        own = np.array([c == name for c in clusters])
        inner = np.eye(own.sum()) - hat[np.ix_(own, own)]
        value, vector = np.linalg.eigh(inner)
        adjusted = vector @ np.diag(value**-0.5) @ vector.T
        weight = adjusted @ x[own] @ np.linalg.inv(x.T @ x)
        variance += float((weight.T @ residual[own])[0] ** 2)
        columns.append(rest[:, own] @ weight)
    products = np.array([[float((p.T @ q)[0, 0]) for q in columns] for p in columns])
    return math.sqrt(variance), np.trace(products) ** 2 / (products**2).sum()


@given(groups)
def test_the_small_sample_correction_is_the_one_defined_by_matrices(members):
    values = [v for group in members for v in group]
    clusters = [i for i, group in enumerate(members) for _ in group]
    found = spread(values, clusters)
    error, df = by_matrices(values, clusters)
    assert found.corrected == pytest.approx(error, abs=1e-9)
    assert found.df == pytest.approx(df)


def test_equal_clusters_need_no_correction_and_unequal_ones_do():
    values = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    equal, unequal = spread(values, list("aabbcc")), spread(values, list("aaaabc"))
    assert (equal.se, equal.df) == (pytest.approx(equal.corrected), 2.0)
    assert unequal.corrected > unequal.se
    assert unequal.df < 2
    many = spread([0.0] * 231 + [1.0] * 269, [i for i, n in enumerate(VERIFIED) for _ in range(n)])
    assert many.effective == pytest.approx(3.87, abs=0.01)
    assert many.df == pytest.approx(3.33, abs=0.01)


@pytest.mark.thorough  # its import takes 10 s
@needs_statsmodels
@given(groups)
def test_the_published_error_is_that_of_statsmodels(members):
    regression = pytest.importorskip("statsmodels.api")
    values = [v for group in members for v in group]
    clusters = [i for i, group in enumerate(members) for _ in group]
    n, c = len(values), len(members)
    how = {"groups": clusters, "use_correction": True}
    fit = regression.OLS(values, np.ones(n)).fit(cov_type="cluster", cov_kwds=how)
    assert spread(values, clusters).se == pytest.approx(float(fit.bse[0]), abs=1e-9)
    assert c > 1


@pytest.mark.thorough  # its import takes 10 s
@needs_statsmodels
@given(st.integers(1, 200), st.data())
def test_single_rates_and_holm_are_those_of_statsmodels(n, data):
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    k = data.draw(st.integers(0, n))
    values = [1.0] * k + [0.0] * (n - k)
    wanted = proportion.proportion_confint(k, n, method="wilson")
    if n > 1:
        assert stats.accuracy(values).ci95 == pytest.approx(wanted, abs=1e-9)
    p = data.draw(st.lists(st.floats(0, 1), min_size=1, max_size=8))
    assert stats.holm(p) == pytest.approx(list(multitest.multipletests(p, method="holm")[1]))


@pytest.mark.thorough  # its import takes 10 s
@needs_statsmodels
@given(st.integers(0, 30), st.integers(0, 30))
def test_mcnemar_is_that_of_statsmodels(b, c):
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    assert stats.mcnemar(b, c) == pytest.approx(float(tables.mcnemar([[5, b], [c, 5]], exact=True).pvalue))


def test_the_score_interval_of_paired_rates_is_the_published_one():
    for b, c, n in ((9, 1, 44), (0, 0, 10), (5, 0, 5), (0, 7, 20), (3, 3, 6), (1, 0, 500)):
        low, high = stats.tango(b, c, n)
        assert -1 <= low <= (b - c) / n <= high <= 1
        assert stats.tango(c, b, n) == pytest.approx((-high, -low), abs=1e-6)
        for d in (low, high):
            if abs(d) < 1 - 1e-9:
                assert abs(score(b, c, n, d)) == pytest.approx(1.959964, abs=2e-3)


def score(b, c, n, d):
    """The statistic with the restricted likelihood maximized numerically, not by its closed form."""
    grid = np.linspace(max(0.0, -d), min((1 - d) / 2, 1.0), 200_001)[1:-1]
    with np.errstate(divide="ignore"):
        fit = (
            b * np.log(grid + d)
            + c * np.log(grid)
            + (n - b - c) * np.log(np.maximum(1 - 2 * grid - d, 1e-300))
        )
    q = grid[np.nanargmax(fit)]
    return (b - c - n * d) / math.sqrt(n * (2 * q + d * (1 - d)))


def covered_single(n, p):
    found = [stats.wilson(k, n) for k in range(n + 1)]
    return sum(scipy.stats.binom.pmf(k, n, p) for k, (low, high) in enumerate(found) if low <= p <= high)


@pytest.mark.parametrize(("n", "p"), [*product((30, 100, 500), (0.5, 0.95))])
def test_a_single_interval_covers_as_often_as_it_says(n, p):
    assert 0.93 <= covered_single(n, p) <= 0.97


def test_an_interval_of_accuracy_stays_within_its_bounds_and_needs_a_spread():
    low, high = stats.accuracy([1.0, 1.0, 0.98, 1.0, 0.99]).ci95
    assert 0 <= low < high <= 1
    assert stats.accuracy([0.5, 0.5]).ci95 is None
    assert stats.accuracy([1.0, 1.0], clusters=["a", "b"]).ci95 == stats.wilson(2, 2)
    with pytest.raises(UsageError, match="between 0 and 1"):
        stats.accuracy([1.2])
    for wrong in ((-1, 0, 3), (2, 2, 3), (0, 0, 0)):
        with pytest.raises(UsageError, match="paired rates"):
            stats.tango(*wrong)
