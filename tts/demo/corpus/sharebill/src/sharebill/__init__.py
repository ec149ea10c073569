"""Split shared expenses to the cent and say who pays whom."""

from sharebill.cents import format_cents, parse_cents, percent_of
from sharebill.ledger import Expense, balances, settle
from sharebill.split import split_by_weight, split_evenly

__all__ = [
    "Expense",
    "balances",
    "format_cents",
    "parse_cents",
    "percent_of",
    "settle",
    "split_by_weight",
    "split_evenly",
]
