from datetime import date

from workdays import add_months, days_in_month, month_end


def test_days_in_month():
    assert days_in_month(2023, 2) == 28
    assert days_in_month(2024, 2) == 29
    assert days_in_month(1900, 2) == 28
    assert days_in_month(2023, 12) == 31


def test_month_end():
    assert month_end(date(2024, 2, 3)) == date(2024, 2, 29)


def test_add_months():
    assert add_months(date(2023, 1, 31), 1) == date(2023, 2, 28)
    assert add_months(date(2023, 11, 15), 3) == date(2024, 2, 15)
    assert add_months(date(2023, 1, 15), -1) == date(2022, 12, 15)
