"""Business days, month ends and recurring dates."""

from workdays.business import add_business_days, business_days_between, is_business_day, roll
from workdays.months import add_months, days_in_month, month_end
from workdays.recurring import every_month, paydays

__all__ = [
    "add_business_days",
    "add_months",
    "business_days_between",
    "days_in_month",
    "every_month",
    "is_business_day",
    "month_end",
    "paydays",
    "roll",
]
