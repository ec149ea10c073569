"""Counts of what a cache did."""

from dataclasses import dataclass


@dataclass
class Stats:
    """How often a lookup was answered, missed, and how many entries made room for others."""

    hits: int = 0
    misses: int = 0
    evicted: int = 0
    expired: int = 0

    def hit_rate(self) -> float:
        """Return the part of lookups that were answered, 0.0 before the first lookup."""
        lookups = self.hits + self.misses
        return self.hits / lookups if lookups else 0.0
