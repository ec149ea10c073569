"""A cache of limited size that forgets the entry that was not used for the longest time."""

import time
from collections import OrderedDict


class Cache:
    """Keeps at most `capacity` values, each for `ttl_seconds` at most; None keeps them until pushed out.

    `get` and `put` both count as use of a key.
    """

    def __init__(self, capacity, ttl_seconds=None, clock=time.monotonic):
        if capacity < 1:
            raise ValueError("a cache needs room for at least one value")
        self.capacity = capacity
        self.ttl_seconds = ttl_seconds
        self.hits = 0
        self.misses = 0
        self._clock = clock
        self._entries = OrderedDict()

    def __len__(self):
        return len(self._entries)

    def __contains__(self, key):
        if key not in self._entries:
            return False
        stored_at = self._entries[key][1]
        if self.ttl_seconds is not None and self._clock() - stored_at >= self.ttl_seconds:
            del self._entries[key]
            return False
        return True

    def get(self, key, default=None):
        """Return the value of the key, `default` if it is not there or too old."""
        if key not in self:
            self.misses += 1
            return default
        self.hits += 1
        self._entries.move_to_end(key)
        return self._entries[key][0]

    def put(self, key, value):
        """Store the value; the entry that was used least recently goes if there is no room."""
        self._entries[key] = (value, self._clock())
        self._entries.move_to_end(key)
        while len(self._entries) > self.capacity:
            self._entries.popitem(last=False)

    def remember(self, key, make):
        """Return the value of the key; `make()` is called for it only if the key is not in the cache."""
        if key in self:
            return self.get(key)
        value = make()
        self.put(key, value)
        return value

    def hit_rate(self):
        """Return the share of `get` calls that found a value; 0.0 before the first."""
        asked = self.hits + self.misses
        if asked == 0:
            return 0.0
        return self.hits / asked
