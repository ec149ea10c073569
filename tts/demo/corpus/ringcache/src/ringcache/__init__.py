"""A small cache with a size limit, a time to live, and a clock that the caller brings."""

from ringcache.cache import Cache
from ringcache.memo import memoize
from ringcache.stats import Stats

__all__ = ["Cache", "Stats", "memoize"]
