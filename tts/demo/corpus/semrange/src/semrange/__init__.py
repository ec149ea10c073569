"""Versions such as 1.4.0-rc.2 and the ranges that dependencies ask for."""

from semrange.range import Range
from semrange.select import best, outdated
from semrange.version import Version

__all__ = ["Range", "Version", "best", "outdated"]
