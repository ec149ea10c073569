from runstats import histogram, median, percentile, share_below


def test_median_of_odd_number():
    assert median([9, 1, 5]) == 5


def test_median_of_even_number():
    assert median([4, 1, 8, 2]) == 3


def test_percentiles():
    assert percentile([10, 20, 30, 40, 50], 50) == 30
    assert percentile([10, 20], 25) == 12.5
    assert percentile([10, 20], 100) == 20


def test_share_below():
    assert share_below([1, 2, 2, 5], 2) == 0.25


def test_histogram_inside_bins():
    assert histogram([1, 5, 12, 25, 28], [0, 10, 20, 30]) == [2, 1, 2]


def test_histogram_top_edge():
    assert histogram([30, 29], [0, 10, 20, 30]) == [0, 0, 2]
