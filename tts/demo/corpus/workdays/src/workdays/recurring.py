"""Dates that come back every month."""

from workdays.business import ONE_DAY, next_open, roll
from workdays.months import add_months, month_end


def every_month(start, count, holidays=()):
    """The day of the start in `count` months, each rolled to a business day."""
    return [roll(add_months(start, number), holidays) for number in range(count)]


def paydays(start, count, holidays=()):
    """The last business day of `count` months, from the month of the start on."""
    ends = [month_end(add_months(start, number)) for number in range(count)]
    return [next_open(end, -ONE_DAY, holidays) for end in ends]
