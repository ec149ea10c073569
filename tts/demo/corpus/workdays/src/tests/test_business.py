from datetime import date

from workdays import add_business_days, business_days_between, every_month, is_business_day, paydays, roll

FRIDAY = date(2024, 5, 3)
MONDAY = date(2024, 5, 6)


def test_weekends_and_holidays():
    assert is_business_day(FRIDAY)
    assert not is_business_day(date(2024, 5, 4))
    assert not is_business_day(MONDAY, {MONDAY})


def test_add_over_a_weekend():
    assert add_business_days(FRIDAY, 1) == MONDAY
    assert add_business_days(FRIDAY, 1, {MONDAY}) == date(2024, 5, 7)
    assert add_business_days(FRIDAY, 0) == FRIDAY


def test_between_ends_on_a_sunday():
    assert business_days_between(date(2024, 5, 1), date(2024, 5, 5)) == 3


def test_roll_within_the_month():
    assert roll(date(2024, 5, 4)) == MONDAY
    assert roll(FRIDAY) == FRIDAY


def test_every_month():
    assert every_month(date(2024, 2, 4), 2) == [date(2024, 2, 5), date(2024, 3, 4)]


def test_paydays():
    assert paydays(date(2024, 5, 1), 2) == [date(2024, 5, 31), date(2024, 6, 28)]
