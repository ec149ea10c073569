"""What votes on pairs say of candidates' strengths, and which pair to vote on next.

The model: candidate i has a strength t_i ~ N(0, spread²), the pair (i, j) a bias b_ij ~ N(0, bias²) that no
number of votes on that pair removes, and a vote prefers i with probability

    sigmoid(t_i - t_j + b_ij ± position),   + when i is shown first.

It is Thurstone's and Bradley and Terry's model with a random effect of the pair, which is what makes votes on
one pair saturate.  Strengths are kept as a normal distribution; each pair that was voted on is one factor,
replaced as a whole when a vote is added (expectation propagation: Minka, "Expectation Propagation for
Approximate Bayesian Inference", 2001; its moments by Gauss-Hermite quadrature).  The next pair is the one
whose votes are expected to raise the strength of the chosen candidate most (the knowledge gradient: Frazier,
Powell, Dayanik, 2009), reckoned for the leader and its nearest rivals.

Everything is reckoned for many tasks at once, so the simulator and the stage run the same lines: arrays have
the tasks first, then candidates or pairs.  Pairs are numbered as `numpy.triu_indices` lists them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit, ndtr

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_LOG_WEIGHTS = np.log(_WEIGHTS / _WEIGHTS.sum())
_LOGISTIC = 4.0
"""The least variance of one vote about a difference, in squares of the logit scale: 1 / (p (1 - p))."""


@dataclass(frozen=True, slots=True)
class VoteModel:
    """The standard deviations of strengths and of pair biases, and the position bias, in logits."""

    spread: float = 1.4
    bias: float = 1.2
    position: float = 0.0

    def information(self, votes: Floats) -> Floats:
        """Return how precisely (1 / variance) a number of votes on one pair tells its difference."""
        return votes / (_LOGISTIC + votes * self.bias**2)


class Beliefs:
    """The beliefs about `n` candidates in each of some tasks.

    `mean` (tasks, n) and `cov` (tasks, n, n) are those of the strengths; `votes` (tasks, pairs, 2, 2) counts
    the votes by who stood first and who was preferred, 0 for the lower number of the pair and 1 for the
    higher.  `lead` (tasks, n) is what is known from elsewhere, on the scale of strengths: the best candidate
    is the one with the largest sum of mean and lead.
    """

    def __init__(self, lead: Floats, model: VoteModel) -> None:
        tasks, n = lead.shape
        self.model, self.lead = model, lead
        self.low, self.high = np.triu_indices(n, 1)
        self.mean: Floats = np.zeros((tasks, n))
        self.cov: Floats = np.tile(np.eye(n) * model.spread**2, (tasks, 1, 1))
        self.votes: Floats = np.zeros((tasks, len(self.low), 2, 2))
        self._precision: Floats = np.zeros((tasks, len(self.low)))
        self._shift: Floats = np.zeros((tasks, len(self.low)))
        self._row: Ints = np.arange(tasks)

    @property
    def worth(self) -> Floats:
        """Mean strength with what is known from elsewhere, (tasks, n)."""
        return self.mean + self.lead

    @property
    def best(self) -> Ints:
        """The candidate of each task that is thought best."""
        return np.asarray(self.worth.argmax(axis=1))

    @property
    def chance(self) -> Floats:
        """About how likely the best one is the strongest: at least, as its rivals were independent."""
        behind, sd = self._rivals(self.cov)
        beaten = ndtr(behind / sd)
        beaten[self._row, self.best] = 1.0
        return np.asarray(beaten.prod(axis=1))

    def observe(self, pair: Ints, first: Ints, preferred: Ints, votes: int = 1) -> None:
        """Add `votes` equal votes on one pair per task; -1 as `preferred` is an abstention."""
        told = np.flatnonzero(preferred >= 0)
        self.votes[told, pair[told], first[told], preferred[told]] += votes
        self._replace(told, pair[told])

    def next_pairs(self, n: int, *, each: int = 1, rivals: int = 3) -> tuple[list[Ints], Floats]:
        """Return the next n pairs per task, to be voted on together, and what the first is worth.

        `each` votes are reckoned for a pair.  A pair of the wave is chosen as if those before it had been
        voted on and had changed no mean.  The worth is the expected rise of the chosen strength, in logits.
        """
        cov, votes = self.cov.copy(), self.votes.sum(axis=(2, 3))
        pairs: list[Ints] = []
        gains: Floats = np.zeros(len(cov))
        for k in range(n):
            pair, gain = self._next(cov, votes, each + 1, rivals)
            gains = gain if k == 0 else gains
            pairs.append(pair)
            self._foresee(cov, votes, pair, each)
        return pairs, gains

    def _rivals(self, cov: Floats) -> tuple[Floats, Floats]:
        """Return how far each candidate is behind the best one, and the standard deviation of that."""
        best, worth = self.best, self.worth
        behind = worth[self._row, best][:, None] - worth
        variance = np.einsum("tii->ti", cov)
        of_best = variance[self._row, best][:, None]
        return behind, np.sqrt(np.maximum(variance + of_best - 2 * cov[self._row, best], 1e-12))

    def _next(self, cov: Floats, votes: Floats, look: int, rivals: int) -> tuple[Ints, Floats]:
        variance = np.einsum("tii->ti", cov)
        of_pair = variance[:, self.low] + variance[:, self.high] - 2 * cov[:, self.low, self.high]
        told = self.model.information(votes + look) - self.model.information(votes)
        share = told / (1 + told * of_pair)
        behind, sd = self._rivals(cov)
        rise = _expected_rise(behind, sd)
        rise[self._row, self.best] = -1.0
        near = np.argsort(-rise, axis=1, kind="stable")[:, :rivals]
        pair, gain = np.zeros(len(cov), dtype=np.int64), np.full(len(cov), -1.0)
        for rival in near.T:
            swing = cov[self._row, rival] - cov[self._row, self.best]
            swing = np.abs(swing[:, self.low] - swing[:, self.high]) * np.sqrt(share)
            gains = _expected_rise(behind[self._row, rival][:, None], swing + 1e-9)
            at = gains.argmax(axis=1)
            better = gains[self._row, at] > gain
            pair, gain = np.where(better, at, pair), np.where(better, gains[self._row, at], gain)
        return pair, gain

    def _foresee(self, cov: Floats, votes: Floats, pair: Ints, each: int) -> None:
        """Shrink a covariance as votes on a pair will."""
        along, variance = self._along(cov, self._row, pair)
        before = votes[self._row, pair]
        votes[self._row, pair] += each
        told = self.model.information(before + each) - self.model.information(before)
        cov -= (told / (1 + told * variance))[:, None, None] * along[:, :, None] * along[:, None, :]

    def _along(self, cov: Floats, rows: Ints, pair: Ints) -> tuple[Floats, Floats]:
        """Return the covariance of all strengths with a pair's difference, and the difference's variance."""
        low, high, at = self.low[pair], self.high[pair], np.arange(len(rows))
        along = cov[rows, low] - cov[rows, high]
        return along, along[at, low] - along[at, high]

    def _replace(self, rows: Ints, pair: Ints) -> None:
        """Reckon a pair's factor again from all its votes, and put it in the place of the old one."""
        along, variance = self._along(self.cov, rows, pair)
        mean = self.mean[rows, self.low[pair]] - self.mean[rows, self.high[pair]]
        old, old_shift = self._precision[rows, pair], self._shift[rows, pair]
        free = 1 / (1 / variance - old)
        free_mean = free * (mean / variance - old_shift)
        new_mean, new = _tilted(free_mean, free, self.votes[rows, pair], self.model)
        precision, shift = 1 / new - 1 / free, new_mean / new - free_mean / free
        more, push = precision - old, shift - old_shift
        step = 1 + more * variance
        self.mean[rows] += along * ((push - more * mean) / step)[:, None]
        self.cov[rows] -= (more / step)[:, None, None] * along[:, :, None] * along[:, None, :]
        self._precision[rows, pair], self._shift[rows, pair] = precision, shift


def _tilted(mean: Floats, variance: Floats, votes: Floats, model: VoteModel) -> tuple[Floats, Floats]:
    """Return mean and variance of differences N(mean, variance) once their pairs' votes are known."""
    biased = variance + model.bias**2
    x = mean[:, None] + np.sqrt(biased)[:, None] * _NODES
    ahead, back = x + model.position, x - model.position
    fit = votes[:, 0, 0, None] * log_expit(ahead) + votes[:, 0, 1, None] * log_expit(-ahead)
    fit += votes[:, 1, 0, None] * log_expit(back) + votes[:, 1, 1, None] * log_expit(-back) + _LOG_WEIGHTS
    weight = np.exp(fit - fit.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    seen = (weight * x).sum(axis=1)
    seen_variance = (weight * (x - seen[:, None]) ** 2).sum(axis=1)
    share = variance / biased
    return mean + share * (seen - mean), variance - share**2 * (biased - seen_variance)


def _expected_rise(behind: Floats, sd: Floats) -> Floats:
    """Return E[max(0, x - behind)] for x ~ N(0, sd²)."""
    z = behind / sd
    return np.asarray(sd * np.exp(-z * z / 2) / np.sqrt(2 * np.pi) - behind * ndtr(-z))
