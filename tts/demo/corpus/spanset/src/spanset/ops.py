"""Operations on lists of half-open spans (lo, hi)."""

from itertools import pairwise


def merge(spans):
    """Sorted spans with overlapping and touching ones joined; empty spans are dropped."""
    merged = []
    for lo, hi in sorted(spans):
        if lo >= hi:
            continue
        if merged and lo <= merged[-1][1]:
            last_lo, last_hi = merged[-1]
            merged[-1] = (last_lo, max(last_hi, hi))
        else:
            merged.append((lo, hi))
    return merged


def subtract(spans, cut):
    """The parts of the merged `spans` that lie outside the span `cut`."""
    cut_lo, cut_hi = cut
    pieces = []
    for lo, hi in sorted(spans):
        if hi <= cut_lo or cut_hi <= lo:
            pieces.append((lo, hi))
            continue
        if lo < cut_lo:
            pieces.append((lo, cut_lo))
        if cut_hi < hi:
            pieces.append((cut_hi, hi))
    return pieces


def intersect(left, right):
    """The spans covered by both merged lists."""
    pairs = [(one, other) for one in left for other in right]
    common = [(max(one[0], other[0]), min(one[1], other[1])) for one, other in pairs]
    return [(lo, hi) for lo, hi in common if lo < hi]


def gaps(spans):
    """The holes between neighbours in a merged list."""
    return [(before[1], after[0]) for before, after in pairwise(spans)]
