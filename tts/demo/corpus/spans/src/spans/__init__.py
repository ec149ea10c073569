"""Half-open spans of whole numbers, and what can be asked of many of them."""

from spans.many import clip, covered, depth, first_fit, gaps, merge, subtract
from spans.span import Span

__all__ = ["Span", "clip", "covered", "depth", "first_fit", "gaps", "merge", "subtract"]
