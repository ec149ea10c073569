"""The set type on top of the span operations."""

from bisect import bisect_right

from spanset.ops import intersect, merge, subtract
from spanset.text import dump, parse


class SpanSet:
    """A set of integers; every change keeps the spans merged and sorted."""

    def __init__(self, spans=()):
        self.spans = merge(spans)

    @classmethod
    def from_text(cls, text):
        return cls(parse(text))

    def add(self, lo, hi):
        self.spans = merge([*self.spans, (lo, hi)])

    def remove(self, lo, hi):
        self.spans = subtract(self.spans, (lo, hi))

    def __contains__(self, value):
        starts = [lo for lo, _ in self.spans]
        index = bisect_right(starts, value) - 1
        return index >= 0 and value < self.spans[index][1]

    def __len__(self):
        return sum(hi - lo for lo, hi in self.spans)

    def __and__(self, other):
        return SpanSet(intersect(self.spans, other.spans))

    def __sub__(self, other):
        left = SpanSet(self.spans)
        for lo, hi in other.spans:
            left.remove(lo, hi)
        return left

    def __str__(self):
        return dump(self.spans)
