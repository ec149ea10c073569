from ringcache import Cache


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_set_and_get():
    cache = Cache(3, Clock())
    cache.set("a", 1)
    assert cache.get("a") == 1
    assert cache.get("b") is None
    assert cache.get("b", 7) == 7


def test_size_is_a_limit():
    cache = Cache(2, Clock())
    for key in "abc":
        cache.set(key, key.upper())
    assert list(cache) == ["b", "c"]
    assert cache.stats.evicted == 1


def test_entries_expire():
    clock = Clock()
    cache = Cache(3, clock, ttl=10)
    cache.set("a", 1)
    clock.now = 105.0
    assert "a" in cache
    clock.now = 111.0
    assert "a" not in cache
    assert len(cache) == 0


def test_no_ttl_is_for_ever():
    clock = Clock()
    cache = Cache(3, clock)
    cache.set("a", 1)
    clock.now = 1e9
    assert cache.get("a") == 1


def test_hit_rate():
    cache = Cache(3, Clock())
    assert cache.stats.hit_rate() == 0.0
    cache.set("a", 1)
    cache.get("a")
    cache.get("b")
    assert cache.stats.hit_rate() == 0.5


def test_size_is_checked():
    try:
        Cache(0, Clock())
    except ValueError:
        return
    raise AssertionError("no error")
