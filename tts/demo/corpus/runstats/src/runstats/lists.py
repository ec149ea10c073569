"""Statistics of a list of numbers in any order."""

from bisect import bisect_left, bisect_right


def median(values):
    """The middle number, or the mean of the two middle ones."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def percentile(values, percent):
    """The value below which `percent` of the numbers lie, with linear interpolation between neighbours."""
    ordered = sorted(values)
    place = percent / 100 * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def share_below(values, limit):
    """The share of the numbers that are less than the limit."""
    ordered = sorted(values)
    return bisect_left(ordered, limit) / len(ordered)


def histogram(values, edges):
    """Counts per bin; a bin holds its lower edge, the last bin its upper edge too; the rest is left out."""
    counts = [0] * (len(edges) - 1)
    for value in values:
        if not edges[0] <= value <= edges[-1]:
            continue
        index = bisect_right(edges, value) - 1
        counts[min(index, len(counts) - 1)] += 1
    return counts
