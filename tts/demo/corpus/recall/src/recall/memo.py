"""Remembers what a function returned."""

from functools import wraps

from recall.cache import Cache


def signature(args, kwargs):
    """Return a key for a call: equal for equal arguments, in whatever order keywords are written."""
    return (tuple(args), tuple(sorted(kwargs.items())))


def memoize(capacity=128):
    """Return a decorator that calls the function once per set of arguments, for the last `capacity` sets.

    The decorated function has the cache as its attribute `cache`.
    """

    def decorate(function):
        cache = Cache(capacity)

        @wraps(function)
        def call(*args, **kwargs):
            return cache.remember(signature(args, kwargs), lambda: function(*args, **kwargs))

        call.cache = cache
        return call

    return decorate
