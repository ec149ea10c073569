"""Short names side by side, as a directory listing shows them."""

from collections.abc import Sequence


def columns_that_fit(width: int, cell: int, gap: int = 2) -> int:
    """Return how many cells stand side by side, with a gap between two of them; at least 1."""
    return max(1, (width + gap) // (cell + gap))


def grid(names: Sequence[str], width: int, gap: int = 2) -> list[str]:
    """Return lines with as many names each as fit, read from left to right."""
    if not names:
        return []
    cell = max(len(name) for name in names)
    columns = columns_that_fit(width, cell, gap)
    lines: list[str] = []
    for start in range(0, len(names), columns):
        row = names[start : start + columns]
        lines.append((" " * gap).join(name.ljust(cell) for name in row).rstrip())
    return lines
