from runstats import Running, Window


def test_mean_and_variance():
    stats = Running([2, 4, 4, 4, 5, 5, 7, 9])
    assert stats.count == 8
    assert abs(stats.mean - 5) < 1e-9
    assert abs(stats.variance() - 32 / 7) < 1e-9


def test_variance_of_one_number():
    assert Running([3]).variance() == 0.0


def test_merge_of_halves():
    both = Running([1, 2, 3]).merge(Running([7, 8, 9]))
    assert both.count == 6
    assert abs(both.mean - 5) < 1e-9
    assert abs(both.variance() - 11.6) < 1e-9


def test_merge_of_nothing():
    assert Running().merge(Running()).count == 0


def test_window_forgets():
    window = Window(2)
    for value in (1, 2, 6):
        window.push(value)
    assert window.mean() == 4
    assert Window(3).mean() == 0.0
