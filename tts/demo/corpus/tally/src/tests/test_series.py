from tally import histogram, moving_average, ranks


def test_moving_average():
    assert moving_average([1, 3, 5, 9], 2) == [2, 4, 7]
    assert moving_average([1, 2, 3], 1) == [1, 2, 3]


def test_moving_average_of_too_few():
    assert moving_average([1, 2], 3) == []


def test_histogram():
    assert histogram([0, 1, 2, 3, 4], 2) == [2, 3]
    assert histogram([0, 10], 5) == [1, 0, 0, 0, 1]


def test_ranks():
    assert ranks([10, 30, 20]) == [3, 1, 2]
