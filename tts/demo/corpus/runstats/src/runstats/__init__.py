"""Statistics of numbers that arrive one at a time, and of short lists."""

from runstats.lists import histogram, median, percentile, share_below
from runstats.running import Running, Window

__all__ = ["Running", "Window", "histogram", "median", "percentile", "share_below"]
