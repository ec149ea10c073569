"""Reads and writes small ini files and rows of comma-separated cells."""

from tinyini.ini import dump, get_bool, parse
from tinyini.rows import join_row, split_row

__all__ = ["dump", "get_bool", "join_row", "parse", "split_row"]
