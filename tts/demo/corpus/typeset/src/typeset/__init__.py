"""Plain text in lines of limited width."""

from typeset.layout import bullets, dedent, table
from typeset.lines import shorten, wrap

__all__ = ["bullets", "dedent", "shorten", "table", "wrap"]
