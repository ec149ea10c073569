"""How sure a model was of what it wrote, from the log-probabilities of the likeliest tokens at each place.

The measures are those of Fu, Wang, Tian, Zhao, "Deep Think with Confidence", 2025, arXiv 2508.15260.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from math import ceil, fsum, isfinite
from statistics import fmean

WINDOW = 2048
"""Tokens in a group."""
LOWEST_GROUP = "confidence_lowest_group"
"""The signal that is told under way too."""


class Confidence:
    """The confidence of a text as it grows, in nats; more is surer.

    A token's is minus the mean log-probability of its likeliest alternatives (20 in the paper). A group is
    `window` tokens in a row, and its confidence the mean over them; a text shorter than that is one group.
    """

    def __init__(self, window: int = WINDOW) -> None:
        self.window = window
        self._sums = array("d", [0.0])
        self.lowest: float | None = None
        """The lowest of the groups that are full so far; None before the first one is."""

    def __len__(self) -> int:
        return len(self._sums) - 1

    def add(self, logprobs: Sequence[float]) -> None:
        """Take in a token by its alternatives' log-probabilities; one without any finite is left out."""
        finite = [value for value in logprobs if isfinite(value)]
        if finite:
            self._sums.append(self._sums[-1] - fmean(finite))
        if finite and len(self) >= self.window:
            group = self._mean(len(self) - self.window)
            self.lowest = group if self.lowest is None else min(group, self.lowest)

    def signals(self) -> dict[str, float]:
        """Return the measures by the names of the signals; empty before the first token.

        `confidence_mean` is that of all tokens, `confidence_tail` that of the last `window`,
        `confidence_lowest_group` the lowest of all groups, and `confidence_bottom` the mean of the lowest
        tenth of the groups.
        """
        n = len(self)
        if not n:
            return {}
        groups = sorted(self._mean(end - self.window, end) for end in range(min(self.window, n), n + 1))
        bottom = groups[: ceil(len(groups) / 10)]
        return {
            "confidence_mean": self._mean(0),
            "confidence_tail": self._mean(n - self.window),
            LOWEST_GROUP: groups[0],
            "confidence_bottom": fsum(bottom) / len(bottom),
        }

    def _mean(self, start: int, end: int | None = None) -> float:
        start, end = max(0, start), len(self) if end is None else end
        return (self._sums[end] - self._sums[start]) / (end - start)


def confidences(tokens: Iterable[Sequence[float]], window: int = WINDOW) -> dict[str, float]:
    """Return the measures of a whole text, as `Confidence.signals` names them.

    `tokens` holds for each token the log-probabilities of its likeliest alternatives.

    >>> confidences([[-1.0, -3.0], [-2.0, -4.0], [-5.0, -5.0]], window=2)["confidence_lowest_group"]
    2.5
    """
    confidence = Confidence(window)
    for logprobs in tokens:
        confidence.add(logprobs)
    return confidence.signals()
