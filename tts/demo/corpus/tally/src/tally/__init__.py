"""Plain statistics of lists of numbers."""

from tally.series import histogram, moving_average, ranks
from tally.summary import mean, median, quantile, variance

__all__ = ["histogram", "mean", "median", "moving_average", "quantile", "ranks", "variance"]
