"""Caches that keep what was used last: `Cache` for values, `memoize` for functions."""

from recall.cache import Cache
from recall.memo import memoize

__all__ = ["Cache", "memoize"]
