"""Lists of numbers made from lists of numbers."""

from tally.summary import mean


def moving_average(values, window):
    """Return the mean of every run of `window` neighbours, in order; nothing if there are too few."""
    if window < 1:
        raise ValueError("a window holds at least one value")
    return [mean(values[i : i + window]) for i in range(len(values) - window + 1)]


def histogram(values, n_bins):
    """Return how many values lie in each of `n_bins` equal parts of the range from least to greatest.

    A value on an inner edge belongs to the part above, the greatest value to the last part.
    """
    low, high = min(values), max(values)
    width = (high - low) / n_bins
    counts = [0] * n_bins
    for value in values:
        at = int((value - low) / width) if width else 0
        counts[min(at, n_bins - 1)] += 1
    return counts


def ranks(values):
    """Return the rank of each value, 1 for the greatest; equal values share the better rank."""
    ordered = sorted(values, reverse=True)
    return [ordered.index(value) + 1 for value in values]
