from spanset import gaps, intersect, merge, subtract


def test_merge_joins_overlapping_and_touching():
    assert merge([(4, 6), (0, 2), (2, 3), (5, 9)]) == [(0, 3), (4, 9)]


def test_merge_keeps_the_outer_span():
    assert merge([(0, 10), (2, 5)]) == [(0, 10)]


def test_merge_drops_empty_spans():
    assert merge([(3, 3), (5, 7)]) == [(5, 7)]


def test_subtract_whole_span():
    assert subtract([(0, 4), (6, 8)], (0, 4)) == [(6, 8)]


def test_subtract_outside_changes_nothing():
    assert subtract([(2, 4), (6, 8)], (4, 6)) == [(2, 4), (6, 8)]


def test_intersect_partial_overlap():
    assert intersect([(0, 5)], [(3, 8)]) == [(3, 5)]


def test_gaps():
    assert gaps([(0, 2), (5, 6), (9, 12)]) == [(2, 5), (6, 9)]
