"""Small questions about dates, on top of `datetime.date`."""

from tinycal.months import add_months, age, days_in_month, is_leap
from tinycal.weeks import business_days, date_range, nth_weekday

__all__ = [
    "add_months",
    "age",
    "business_days",
    "date_range",
    "days_in_month",
    "is_leap",
    "nth_weekday",
]
