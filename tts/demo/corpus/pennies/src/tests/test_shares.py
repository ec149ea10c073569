from pennies import allocate, split


def test_split():
    assert split(100, 3) == [34, 33, 33]
    assert split(90, 3) == [30, 30, 30]


def test_allocate_without_rounding():
    assert allocate(100, [1, 3]) == [25, 75]


def test_allocate_equal_weights():
    assert allocate(101, [1, 1]) == [51, 50]
    assert allocate(100, [2, 2, 2]) == [34, 33, 33]
