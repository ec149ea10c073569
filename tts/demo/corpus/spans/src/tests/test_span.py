from spans import Span


def test_length_and_membership():
    span = Span(2, 5)
    assert len(span) == 3
    assert 2 in span
    assert 5 not in span


def test_empty_spans_are_refused():
    try:
        Span(4, 4)
    except ValueError:
        return
    assert False


def test_overlap():
    assert Span(1, 4).overlaps(Span(3, 6))
    assert Span(1, 9).overlaps(Span(3, 6))
    assert not Span(1, 3).overlaps(Span(5, 6))
    assert not Span(5, 6).overlaps(Span(1, 3))


def test_intersection():
    assert Span(1, 5).intersection(Span(3, 9)) == Span(3, 5)
    assert Span(1, 3).intersection(Span(3, 9)) is None


def test_shift():
    assert Span(1, 3).shift(10) == Span(11, 13)
