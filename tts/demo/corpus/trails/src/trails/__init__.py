"""Paths through graphs that are written as dictionaries of dictionaries."""

from trails.order import in_order
from trails.paths import costs, hops, shortest, within

__all__ = ["costs", "hops", "in_order", "shortest", "within"]
