"""Sets of integers kept as sorted, half-open spans."""

from spanset.core import SpanSet
from spanset.ops import gaps, intersect, merge, subtract
from spanset.text import dump, parse

__all__ = ["SpanSet", "dump", "gaps", "intersect", "merge", "parse", "subtract"]
