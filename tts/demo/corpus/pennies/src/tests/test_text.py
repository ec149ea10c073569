from pennies import format_cents, parse_cents


def test_format():
    assert format_cents(123456) == "$1,234.56"
    assert format_cents(5) == "$0.05"
    assert format_cents(0) == "$0.00"
    assert format_cents(250, symbol="£") == "£2.50"


def test_parse():
    assert parse_cents("$1,234.56") == 123456
    assert parse_cents("12") == 1200
    assert parse_cents("-$0.99") == -99


def test_parse_too_many_digits():
    try:
        parse_cents("1.234")
    except ValueError:
        return
    assert False
