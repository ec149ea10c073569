from datetime import date

from tinycal import business_days, date_range, nth_weekday


def test_date_range():
    assert date_range(date(2024, 2, 28), date(2024, 3, 1)) == [date(2024, 2, 28), date(2024, 2, 29)]
    assert date_range(date(2024, 3, 1), date(2024, 3, 1)) == []


def test_date_range_downwards():
    assert date_range(date(2024, 1, 3), date(2024, 1, 1), -1) == [date(2024, 1, 3), date(2024, 1, 2)]


def test_business_days_in_the_middle_of_a_week():
    assert business_days(date(2024, 1, 1), date(2024, 1, 5)) == 4
    assert business_days(date(2024, 1, 1), date(2024, 1, 5), {date(2024, 1, 1)}) == 3


def test_no_business_at_the_weekend():
    assert business_days(date(2024, 1, 6), date(2024, 1, 8)) == 0


def test_nth_weekday():
    assert nth_weekday(2024, 11, 3, 4) == date(2024, 11, 28)
    assert nth_weekday(2024, 5, 0, -1) == date(2024, 5, 27)


def test_nth_weekday_that_is_not_there():
    try:
        nth_weekday(2024, 2, 0, 5)
    except ValueError:
        return
    assert False
