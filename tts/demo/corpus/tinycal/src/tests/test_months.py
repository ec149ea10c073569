from datetime import date

from tinycal import add_months, age, days_in_month, is_leap


def test_ordinary_leap_years():
    assert is_leap(2024)
    assert is_leap(1996)
    assert not is_leap(2023)


def test_days_in_month():
    assert days_in_month(2023, 1) == 31
    assert days_in_month(2023, 2) == 28
    assert days_in_month(2024, 2) == 29
    assert days_in_month(2024, 11) == 30


def test_add_months_within_a_year():
    assert add_months(date(2023, 3, 15), 2) == date(2023, 5, 15)
    assert add_months(date(2023, 3, 15), -1) == date(2023, 2, 15)


def test_add_months_to_the_last_day():
    assert add_months(date(2023, 1, 31), 1) == date(2023, 2, 28)


def test_age():
    assert age(date(1990, 6, 15), date(2020, 6, 14)) == 29
    assert age(date(1990, 6, 15), date(2020, 7, 1)) == 30
