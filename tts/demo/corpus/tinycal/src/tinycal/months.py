"""Months and years of the Gregorian calendar."""

from datetime import date

_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def is_leap(year):
    """Return whether the year has a 29 February.

    Every fourth year does, but of the full centuries only every fourth one.
    """
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def days_in_month(year, month):
    """Return the number of days of the month; January is 1."""
    if month == 2 and is_leap(year):
        return 29
    return _DAYS[month - 1]


def add_months(day, months):
    """Return the same day of the month so many months later, or the last day of a shorter month."""
    total = day.year * 12 + day.month - 1 + months
    year, month = total // 12, total % 12 + 1
    return date(year, month, min(day.day, days_in_month(year, month)))


def age(born, today):
    """Return how many birthdays there were, today's included."""
    years = today.year - born.year
    if (today.month, today.day) < (born.month, born.day):
        years -= 1
    return years
