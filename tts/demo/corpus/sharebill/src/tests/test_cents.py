from sharebill import format_cents, parse_cents, percent_of


def test_parse_plain_and_decorated():
    assert parse_cents("12.30") == 1230
    assert parse_cents("$1,204") == 120400
    assert parse_cents("7.5") == 750


def test_parse_negative():
    assert parse_cents("-0.05") == -5


def test_parse_rejects_words():
    for text in ("", "ten", "1.234"):
        try:
            parse_cents(text)
        except ValueError:
            continue
        raise AssertionError(text)


def test_format():
    assert format_cents(120405) == "$1,204.05"
    assert format_cents(-50) == "-$0.50"


def test_percent_of():
    assert percent_of(2000, 15) == 300
    assert percent_of(1999, 10) == 200
    assert percent_of(0, 10) == 0
