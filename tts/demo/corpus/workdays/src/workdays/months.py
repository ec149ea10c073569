"""Months and their ends."""

LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def is_leap(year):
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def days_in_month(year, month):
    return LENGTHS[month - 1] + (1 if month == 2 and is_leap(year) else 0)


def month_end(day):
    """The last day of the month of a date."""
    return day.replace(day=days_in_month(day.year, day.month))


def add_months(day, count):
    """The same day of a later (or earlier) month, or the last day of that month if it is shorter."""
    year, index = divmod(day.year * 12 + day.month - 1 + count, 12)
    last = days_in_month(year, index + 1)
    return day.replace(year=year, month=index + 1, day=min(day.day, last))
