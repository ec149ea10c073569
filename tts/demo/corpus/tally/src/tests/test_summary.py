from tally import mean, median, quantile, variance


def test_mean():
    assert mean([1, 2, 6]) == 3
    assert mean([5]) == 5


def test_mean_of_nothing():
    try:
        mean([])
    except ValueError:
        return
    assert False


def test_median_of_an_odd_number():
    assert median([7]) == 7
    assert median([9, 1, 5]) == 5


def test_variance_needs_two_values():
    try:
        variance([4])
    except ValueError:
        return
    assert False


def test_the_least_value_is_the_first_quantile():
    assert quantile([3, 1, 2], 0.0) == 1
