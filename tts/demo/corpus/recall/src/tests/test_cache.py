from recall import Cache


def test_put_and_get():
    cache = Cache(2)
    cache.put("a", 1)
    assert cache.get("a") == 1
    assert cache.get("b") is None
    assert cache.get("b", 7) == 7


def test_the_oldest_goes_first():
    cache = Cache(2)
    for key in "abc":
        cache.put(key, key.upper())
    assert "a" not in cache
    assert cache.get("b") == "B"
    assert len(cache) == 2


def test_a_cache_needs_room():
    try:
        Cache(0)
    except ValueError:
        return
    assert False


def test_entries_grow_too_old():
    now = [100.0]
    cache = Cache(2, ttl_seconds=10, clock=lambda: now[0])
    cache.put("a", 1)
    now[0] = 109.0
    assert "a" in cache
    now[0] = 120.0
    assert "a" not in cache
    assert len(cache) == 0


def test_remember_makes_a_value_once():
    cache = Cache(2)
    made = []
    for _ in range(3):
        assert cache.remember("k", lambda: made.append("x") or "value") == "value"
    assert made == ["x"]


def test_hit_rate():
    cache = Cache(2)
    assert cache.hit_rate() == 0.0
    cache.put("a", 1)
    cache.get("a")
    cache.get("b")
    assert cache.hit_rate() == 0.5
