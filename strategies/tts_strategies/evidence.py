"""What runs of tests say of which candidates are right, as log-odds.

The idea is that of CodeT (Chen et al., 2022, arXiv 2207.10397): candidates and tests that agree vouch for one
another.  Here it is a model with a way out, so that tests which tell nothing weigh nothing.  Each test was
written by somebody who had a set of candidates in mind, and the set that it passes is a guess of the right
set.  If R is the right set, a test is *faithful* with probability `faithful_right` when its author's own
candidate is in R and `faithful_wrong` when it is not; then each candidate meets R's word with probability
1 - `slip`.  An unfaithful test passes anybody by a coin.  The hypotheses for R are the distinct sets that the
tests pass, a priori beta-binomial(0.6, 0.6) in size, and one more: that no test is faithful, which says
nothing of any candidate.  What comes out are the log-odds of being in R, averaged over the hypotheses.

Tests with coins for results fit "none is faithful" best, as sixteen coins do not repeat a pattern; two or
three faithful tests do.  A test's result on its own author's candidate says nothing and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SIZES = 0.6
"""Both parameters of the beta-binomial that the number of right candidates comes from."""
_PRIOR = lgamma(2 * _SIZES) - 2 * lgamma(_SIZES)


@dataclass(frozen=True, slots=True)
class TestModel:
    """How far tests are trusted before their results are seen; all are probabilities.

    `surest` bounds what comes out, in log-odds: no tests are believed beyond it.
    """

    __test__ = False  # pytest would take the name for a test class

    faithful_right: float = 0.6
    faithful_wrong: float = 0.3
    slip: float = 0.05
    surest: float = 5.0


def odds(passed: Floats, authors: Ints, model: TestModel) -> Floats:
    """Return the log-odds that each candidate is right, (tasks, candidates); 0 says nothing.

    `passed` (tasks, tests, candidates) has 1 for passed, 0 for failed and NaN for not run; `authors` (tests,)
    gives the candidate whose author wrote the test, -1 where it is nobody's.
    """
    tasks, tests, n = passed.shape
    if not tests:
        return np.zeros((tasks, n))
    ran = ~np.isnan(passed)
    candidates: Ints = np.arange(n, dtype=np.int64)
    others: NDArray[np.bool_] = np.not_equal(authors[:, None], candidates)
    counts: Floats = np.where(ran & others, 1.0, 0.0)
    sets = np.where(ran, passed, 0.0)
    weight = _weights(sets, counts, authors, model)
    right = np.einsum("th,thc->tc", weight[:, :-1], sets) + weight[:, -1:] / 2
    surest = 1 / (1 + np.exp(-model.surest))
    bounded: Floats = np.clip(right, 1 - surest, surest)
    return np.log(bounded) - np.log1p(-bounded)


def _weights(sets: Floats, counts: Floats, authors: Ints, model: TestModel) -> Floats:
    """Return the probability of each test's set being the right one, and last of no test being faithful."""
    n: int = sets.shape[2]
    same = _agreement(sets, counts)
    ran = counts.sum(axis=2)[:, None, :]
    in_set = np.where(authors >= 0, sets[:, :, authors], 1.0)
    faithful = np.where(in_set > 0, model.faithful_right, model.faithful_wrong)
    word = same * np.log(1 - model.slip) + (ran - same) * np.log(model.slip) + ran * np.log(2.0)
    fit: Floats = np.logaddexp(np.log(faithful) + word, np.log1p(-faithful)).sum(axis=2)
    size: Floats = np.asarray(sets.sum(axis=2), dtype=np.float64)
    of_size: Floats = gammaln(size + _SIZES) + gammaln(n - size + _SIZES) - gammaln(n + 2 * _SIZES)
    fit += np.asarray(of_size + _PRIOR, dtype=np.float64)
    fit -= np.log((_agreement(sets, np.ones_like(counts)) == n).sum(axis=2))  # a set that is named twice
    none: Floats = np.zeros((len(fit), 1))
    fit = np.concatenate([fit, none], axis=1)
    weight = np.exp(fit - fit.max(axis=1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True), dtype=np.float64)


def _agreement(sets: Floats, counts: Floats) -> Floats:
    """Return on how many candidates that count each test (last axis) agrees with each set."""
    both = np.einsum("thc,tac->tha", sets, sets * counts, optimize=True)
    neither = np.einsum("thc,tac->tha", 1 - sets, (1 - sets) * counts, optimize=True)
    return np.asarray(both + neither)
