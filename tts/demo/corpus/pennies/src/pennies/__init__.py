"""Sums of money in whole cents: written, read, shared out and charged."""

from pennies.bills import invoice, percent
from pennies.shares import allocate, split
from pennies.text import format_cents, parse_cents

__all__ = ["allocate", "format_cents", "invoice", "parse_cents", "percent", "split"]
