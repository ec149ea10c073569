"""A cache that forgets the least recently used entry first, and every entry after its time."""

from collections.abc import Callable, Iterator
from typing import Any

from ringcache.stats import Stats


class Cache:
    """At most `size` entries, each for `ttl` seconds of `clock` since it was last set; None: for ever."""

    def __init__(self, size: int, clock: Callable[[], float], ttl: float | None = None) -> None:
        if size < 1:
            raise ValueError("the size of a cache is at least 1")
        self.size = size
        self.clock = clock
        self.ttl = ttl
        self.stats = Stats()
        self._entries: dict[Any, tuple[Any, float | None]] = {}

    def set(self, key: Any, value: Any, ttl: float | None = None) -> None:
        """Keep a value; `ttl` overrides that of the cache, and 0 keeps it for no time at all."""
        seconds = self.ttl if ttl is None else ttl
        deadline = None if seconds is None else self.clock() + seconds
        self._entries.pop(key, None)
        if len(self._entries) >= self.size:
            self._make_room()
        self._entries[key] = (value, deadline)

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value, which makes it the most recently used one, or the default."""
        if key not in self:
            self.stats.misses += 1
            return default
        self.stats.hits += 1
        entry = self._entries.pop(key)
        self._entries[key] = entry
        return entry[0]

    def purge(self) -> int:
        """Drop what is out of date and return how many entries that were."""
        now = self.clock()
        late = [key for key, entry in self._entries.items() if self._is_late(entry[1], now)]
        for key in late:
            del self._entries[key]
        self.stats.expired += len(late)
        return len(late)

    def __contains__(self, key: Any) -> bool:
        entry = self._entries.get(key)
        return entry is not None and not self._is_late(entry[1], self.clock())

    def __len__(self) -> int:
        now = self.clock()
        return sum(1 for entry in self._entries.values() if not self._is_late(entry[1], now))

    def __iter__(self) -> Iterator[Any]:
        """Yield the keys in date, least recently used first."""
        return iter([key for key in list(self._entries) if key in self])

    def _is_late(self, deadline: float | None, now: float) -> bool:
        return deadline is not None and now >= deadline

    def _make_room(self) -> None:
        if self.purge():
            return
        oldest = next(iter(self._entries))
        del self._entries[oldest]
        self.stats.evicted += 1
