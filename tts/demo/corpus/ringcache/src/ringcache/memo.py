"""Remember what a function returned."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from ringcache.cache import Cache

_MISSING = object()


def memoize(cache: Cache) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that keeps results in the cache, also those that are None or empty."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def remembering(*args: Any, **options: Any) -> Any:
            key = (function.__name__, args, tuple(sorted(options.items())))
            value = cache.get(key, _MISSING)
            if value is _MISSING:
                value = function(*args, **options)
                cache.set(key, value)
            return value

        return remembering

    return decorate
