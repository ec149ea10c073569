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

Everything is reckoned for many tasks at once, so the simulator and the stage run the same lines.
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

    `mean` (tasks, n) and `cov` (tasks, n, n) are those of the strengths; `votes` (tasks, n, n, 2) counts the
    votes by who stood first, who stood second and whether the second was preferred.  `lead` (tasks, n) is
    what is known from elsewhere, on the scale of strengths: the `keep` candidates with the largest `worth`,
    the sum of mean and lead, are to be kept.
    """

    def __init__(self, lead: Floats, model: VoteModel, *, keep: int = 1) -> None:
        tasks, n = lead.shape
        self.model, self.lead, self.keep = model, lead, min(keep, n)
        self.mean: Floats = np.zeros((tasks, n))
        self.cov: Floats = np.tile(np.eye(n) * model.spread**2, (tasks, 1, 1))
        self.votes: Floats = np.zeros((tasks, n, n, 2))
        self._precision: Floats = np.zeros((tasks, n, n))
        self._shift: Floats = np.zeros((tasks, n, n))
        self._row: Ints = np.arange(tasks)

    @property
    def worth(self) -> Floats:
        """Mean strength with what is known from elsewhere, (tasks, n)."""
        return self.mean + self.lead

    @property
    def ranking(self) -> Ints:
        """The candidates of each task, those thought best first, (tasks, n)."""
        return np.argsort(-self.worth, axis=1, kind="stable")

    @property
    def chance(self) -> Floats:
        """About how likely the last one kept is better than all that are not, as if independent."""
        behind, sd, _ = self._rivals(self.cov)
        return np.asarray(np.where(np.isinf(behind), 1.0, ndtr(behind / sd)).prod(axis=1))

    def only(self, tasks: NDArray[np.bool_]) -> Beliefs:
        """Return the beliefs about some of the tasks."""
        some = object.__new__(Beliefs)
        for name, value in vars(self).items():
            setattr(some, name, value[tasks] if isinstance(value, np.ndarray) else value)
        some._row = np.arange(len(some.mean))
        return some

    def observe(self, first: Ints, second: Ints, preferred: Ints) -> None:
        """Add one vote per task on a pair in the order shown: 0 for the first, 1 for the second, -1: none."""
        told = np.flatnonzero(preferred >= 0)
        self.votes[told, first[told], second[told], preferred[told]] += 1
        self._replace(told, np.minimum(first, second)[told], np.maximum(first, second)[told])

    def next_pairs(self, n: int, *, each: int = 1, rivals: int = 8) -> tuple[list[tuple[Ints, Ints]], Floats]:
        """Return the next n pairs (lower number, higher number) of each task, and what the first is worth.

        They are to be voted on together, `each` times.  A pair is chosen as if those before it had been voted
        on and had changed no mean.  The worth is the expected rise of the chosen strength, in logits.
        """
        cov, votes = self.cov.copy(), self.votes.sum(axis=3)
        votes += votes.transpose(0, 2, 1)
        pairs: list[tuple[Ints, Ints]] = []
        gains: Floats = np.zeros(len(cov))
        for k in range(n):
            low, high, gain = self._next(cov, votes, each + 1, rivals)
            gains = gain if k == 0 else gains
            pairs.append((low, high))
            self._foresee(cov, votes, low, high, each)
        return pairs, gains

    def _rivals(self, cov: Floats) -> tuple[Floats, Floats, Ints]:
        """Return how far each candidate is behind the last one kept, the deviation of that, and that one.

        Those that are kept are no rivals: they are infinitely far behind.
        """
        ranking, worth = self.ranking, self.worth
        last = ranking[:, self.keep - 1]
        behind = worth[self._row, last][:, None] - worth
        np.put_along_axis(behind, ranking[:, : self.keep], np.inf, axis=1)
        variance = np.einsum("tii->ti", cov)
        of_last = variance[self._row, last][:, None]
        return behind, np.sqrt(np.maximum(variance + of_last - 2 * cov[self._row, last], 1e-12)), last

    def _next(self, cov: Floats, votes: Floats, look: int, rivals: int) -> tuple[Ints, Ints, Floats]:
        variance = np.einsum("tii->ti", cov)
        of_pair = variance[:, :, None] + variance[:, None, :] - 2 * cov
        told = self.model.information(votes + look) - self.model.information(votes)
        share = np.sqrt(told / (1 + told * of_pair))
        behind, sd, last = self._rivals(cov)
        rise = _expected_rise(behind, sd)
        pair, gain = np.zeros(len(cov), dtype=np.int64), np.full(len(cov), -1.0)
        for rival in np.argsort(-rise, axis=1, kind="stable")[:, : min(rivals, cov.shape[1] - self.keep)].T:
            swing = cov[self._row, rival] - cov[self._row, last]
            swings = (np.abs(swing[:, :, None] - swing[:, None, :]) * share).reshape(len(cov), -1)
            widest = swings.argmax(axis=1)
            gains = _expected_rise(behind[self._row, rival], swings[self._row, widest] + 1e-9)
            pair, gain = np.where(gains > gain, widest, pair), np.maximum(gains, gain)
        first, second = np.divmod(pair, cov.shape[1])
        return np.minimum(first, second), np.maximum(first, second), gain

    def _foresee(self, cov: Floats, votes: Floats, low: Ints, high: Ints, each: int) -> None:
        """Shrink a covariance as votes on a pair will."""
        along, variance = _along(cov, self._row, low, high)
        before = votes[self._row, low, high]
        told = self.model.information(before + each) - self.model.information(before)
        votes[self._row, low, high] += each
        votes[self._row, high, low] += each
        cov -= (told / (1 + told * variance))[:, None, None] * along[:, :, None] * along[:, None, :]

    def _replace(self, rows: Ints, low: Ints, high: Ints) -> None:
        """Reckon a pair's factor again from all its votes, and put it in the place of the old one."""
        along, variance = _along(self.cov, rows, low, high)
        mean = self.mean[rows, low] - self.mean[rows, high]
        old, old_shift = self._precision[rows, low, high], self._shift[rows, low, high]
        free = 1 / (1 / variance - old)
        free_mean = free * (mean / variance - old_shift)
        ballots = self.votes[rows, low, high], self.votes[rows, high, low]
        new_mean, new = _tilted(free_mean, free, *ballots, self.model)
        precision, shift = 1 / new - 1 / free, new_mean / new - free_mean / free
        more, push = precision - old, shift - old_shift
        step = 1 + more * variance
        self.mean[rows] += along * ((push - more * mean) / step)[:, None]
        self.cov[rows] -= (more / step)[:, None, None] * along[:, :, None] * along[:, None, :]
        self._precision[rows, low, high], self._shift[rows, low, high] = precision, shift


def _along(cov: Floats, rows: Ints, low: Ints, high: Ints) -> tuple[Floats, Floats]:
    """Return the covariance of all strengths with a pair's difference, and the difference's variance."""
    at = np.arange(len(rows))
    along = cov[rows, low] - cov[rows, high]
    return along, along[at, low] - along[at, high]


def _tilted(
    mean: Floats, variance: Floats, ahead: Floats, behind: Floats, model: VoteModel
) -> tuple[Floats, Floats]:
    """Return mean and variance of differences N(mean, variance) once their pairs' votes are known.

    `ahead` (rows, 2) are the votes with the lower number first, `behind` those with the higher first, each
    for the first and for the second.
    """
    biased = variance + model.bias**2
    x = mean[:, None] + np.sqrt(biased)[:, None] * _NODES
    first, second = x + model.position, x - model.position
    fit = ahead[:, :1] * log_expit(first) + ahead[:, 1:] * log_expit(-first)
    fit += behind[:, 1:] * log_expit(second) + behind[:, :1] * log_expit(-second) + _LOG_WEIGHTS
    weight = np.exp(fit - fit.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    seen = (weight * x).sum(axis=1)
    seen_variance = (weight * (x - seen[:, None]) ** 2).sum(axis=1)
    share = variance / biased
    return mean + share * (seen - mean), variance - share**2 * (biased - seen_variance)


def _expected_rise(behind: Floats, sd: Floats) -> Floats:
    """Return E[max(0, x - behind)] for x ~ N(0, sd²); -1 for who is infinitely far behind."""
    near = np.where(np.isinf(behind), 0.0, behind)
    z = near / sd
    rise = sd * np.exp(-z * z / 2) / np.sqrt(2 * np.pi) - near * ndtr(-z)
    return np.asarray(np.where(np.isinf(behind), -1.0, rise))
