from spans import Span, clip, covered, depth, first_fit, gaps, merge, subtract


def test_merge_joins_what_overlaps_or_touches():
    assert merge([Span(4, 6), Span(1, 3), Span(5, 8)]) == [Span(1, 3), Span(4, 8)]
    assert merge([Span(1, 3), Span(3, 4)]) == [Span(1, 4)]
    assert merge([]) == []


def test_clip_drops_what_lies_outside():
    assert clip([Span(1, 4), Span(8, 9)], Span(2, 6)) == [Span(2, 4)]


def test_gaps():
    assert gaps([Span(2, 4)], Span(0, 10)) == [Span(0, 2), Span(4, 10)]
    assert gaps([Span(0, 10)], Span(2, 5)) == []


def test_subtract():
    assert subtract([Span(0, 10)], [Span(3, 4), Span(8, 12)]) == [Span(0, 3), Span(4, 8)]


def test_covered_counts_shared_numbers_once():
    assert covered([Span(0, 4), Span(2, 6)]) == 6


def test_first_fit_in_a_full_room():
    assert first_fit([Span(0, 10)], Span(0, 10), 3) is None


def test_depth():
    assert depth([]) == 0
    assert depth([Span(0, 4), Span(2, 6), Span(3, 5)]) == 3
