from ringcache import Cache, memoize


def test_function_runs_once():
    calls = []

    @memoize(Cache(10, lambda: 0.0))
    def double(n):
        calls.append(n)
        return n * 2

    assert [double(4), double(4), double(5)] == [8, 8, 10]
    assert calls == [4, 5]


def test_name_is_kept():
    @memoize(Cache(10, lambda: 0.0))
    def half(n):
        return n / 2

    assert half.__name__ == "half"
