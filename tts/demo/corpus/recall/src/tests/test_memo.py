from recall import memoize


def test_a_function_is_called_once_per_argument():
    calls = []

    @memoize()
    def double(x):
        calls.append(x)
        return 2 * x

    assert [double(2), double(2), double(3)] == [4, 4, 6]
    assert calls == [2, 3]


def test_keywords_count():
    @memoize()
    def area(width=1, height=1):
        return width * height

    assert area(width=3) == 3
    assert area(width=4) == 4


def test_old_calls_are_forgotten():
    @memoize(capacity=1)
    def same(x):
        return x

    same(1)
    same(2)
    assert len(same.cache) == 1
