from spanset import SpanSet, dump, parse


def test_membership_inside_before_and_between():
    numbers = SpanSet([(2, 5), (10, 12)])
    assert 2 in numbers
    assert 4 in numbers
    assert 11 in numbers
    assert 1 not in numbers
    assert 7 not in numbers


def test_add_merges():
    numbers = SpanSet([(0, 3)])
    numbers.add(3, 6)
    assert numbers.spans == [(0, 6)]
    assert len(numbers) == 6


def test_text_round_trip():
    assert parse("1-4, 7,") == [(1, 5), (7, 8)]
    assert dump([(1, 5), (7, 8)]) == "1-4,7"
    assert str(SpanSet.from_text("3,1-2")) == "1-3"


def test_and():
    assert (SpanSet([(0, 6)]) & SpanSet([(4, 9)])).spans == [(4, 6)]
