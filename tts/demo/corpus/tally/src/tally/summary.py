"""One number that stands for many."""


def mean(values):
    """Return the arithmetic mean; ValueError for no values."""
    if not values:
        raise ValueError("no values")
    return sum(values) / len(values)


def median(values):
    """Return the middle value, or the mean of the two in the middle if their number is even."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2 == 1:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def variance(values):
    """Return the sample variance: squared distances from the mean, over one less than their number."""
    if len(values) < 2:
        raise ValueError("a variance needs two values")
    center = mean(values)
    total = sum((value - center) ** 2 for value in values)
    return total / (len(values) - 1)


def quantile(values, share):
    """Return the value below which this share, from 0 to 1, of the values lies.

    A place between two values gives a mixture of both, as near to each as the place is.
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    rest = place - low
    return ordered[low] * (1 - rest) + ordered[high] * rest
