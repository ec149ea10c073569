"""Shortest paths and reachability on small grids drawn as text."""

from gridpath.grid import Grid
from gridpath.search import cheapest_cost, distances, nearest, shortest_path, within

__all__ = ["Grid", "cheapest_cost", "distances", "nearest", "shortest_path", "within"]
