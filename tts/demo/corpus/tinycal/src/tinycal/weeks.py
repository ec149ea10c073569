"""Runs of days, and days of the week; Monday is 0."""

from datetime import date, timedelta

from tinycal.months import days_in_month


def date_range(start, stop, step=1):
    """Return the days from `start` up to, but not including, `stop`; a negative step counts down."""
    if step == 0:
        raise ValueError("the step must not be 0")
    n_days = (stop - start).days
    return [start + timedelta(days=offset) for offset in range(0, n_days, step)]


def business_days(start, stop, holidays=()):
    """Return how many days from `start` up to, not including, `stop` are Monday to Friday and no holiday."""
    days = date_range(start, stop)
    return sum(1 for day in days if day.weekday() < 5 and day not in holidays)


def nth_weekday(year, month, weekday, n):
    """Return the n-th such weekday of the month, counted from 1; the last one for -1.

    Raises ValueError if the month has no such day.
    """
    first = date(year, month, 1)
    days = [first + timedelta(days=i) for i in range(days_in_month(year, month))]
    found = [day for day in days if day.weekday() == weekday]
    if n == 0 or abs(n) > len(found):
        raise ValueError(f"no weekday number {n} in that month")
    return found[n - 1] if n > 0 else found[n]
