"""Plain text in columns: wrapped paragraphs, grids of names, tables with aligned cells."""

from textgrid.grid import columns_that_fit, grid
from textgrid.table import align_points, render
from textgrid.wrap import shorten, wrap

__all__ = ["align_points", "columns_that_fit", "grid", "render", "shorten", "wrap"]
