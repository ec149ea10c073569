"""One span: `Span(2, 5)` holds 2, 3 and 4, and ends before 5."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Span:
    """The whole numbers from `start` up to, but not including, `end`; never empty."""

    start: int
    end: int

    def __post_init__(self):
        if self.end <= self.start:
            raise ValueError(f"a span must not be empty: {self.start} to {self.end}")

    def __len__(self):
        return self.end - self.start

    def __contains__(self, point):
        return self.start <= point < self.end

    def overlaps(self, other):
        """Return whether the two spans have a number in common."""
        return self.start < other.end and other.start < self.end

    def intersection(self, other):
        """Return what the two spans have in common, None if that is nothing."""
        start = max(self.start, other.start)
        end = min(self.end, other.end)
        if start >= end:
            return None
        return Span(start, end)

    def shift(self, by):
        """Return the span moved to the right by this many numbers."""
        return Span(self.start + by, self.end + by)
