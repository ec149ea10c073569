"""Days from Monday to Friday that are no holiday."""

from datetime import timedelta

ONE_DAY = timedelta(days=1)
LONGEST_BREAK_DAYS = 60


def is_business_day(day, holidays=()):
    return day.weekday() < 5 and day not in holidays


def next_open(day, step, holidays=()):
    """The first business day from `day` on (itself included), in steps of one day forward or back."""
    for count in range(LONGEST_BREAK_DAYS):
        candidate = day + count * step
        if is_business_day(candidate, holidays):
            return candidate
    raise ValueError(f"no business day near {day}")


def add_business_days(day, count, holidays=()):
    """The date `count` business days later, or earlier if the count is negative."""
    step = ONE_DAY if count > 0 else -ONE_DAY
    for _ in range(abs(count)):
        day = next_open(day + step, step, holidays)
    return day


def business_days_between(first, last, holidays=()):
    """The number of business days from the first date to the last, both included."""
    days = [first + ONE_DAY * offset for offset in range((last - first).days + 1)]
    return sum(1 for day in days if is_business_day(day, holidays))


def roll(day, holidays=()):
    """The date itself or the next business day; but the one before if the next is in another month."""
    later = next_open(day, ONE_DAY, holidays)
    if later.month > day.month or later.year > day.year:
        return next_open(day, -ONE_DAY, holidays)
    return later
