"""Tables with aligned cells."""

from collections.abc import Sequence


def align_points(numbers: Sequence[str]) -> list[str]:
    """Return the numbers padded so that their decimal points stand below one another."""
    parts = [number.partition(".") for number in numbers]
    before = max((len(whole) for whole, _, _ in parts), default=0)
    after = max((len(point + digits) for _, point, digits in parts), default=0)
    return [whole.rjust(before) + (point + digits).ljust(after) for whole, point, digits in parts]


def render(rows: Sequence[Sequence[str]], aligns: str = "", gap: int = 2) -> list[str]:
    """Return one line per row; `aligns` has "<", ">" or "^" per column, "<" where it is too short.

    Rows may be shorter than others; their last cells are empty.
    """
    count = max((len(row) for row in rows), default=0)
    widths = [max(len(_cell(row, at)) for row in rows) for at in range(count)]
    lines: list[str] = []
    for row in rows:
        cells = [_pad(_cell(row, at), width, aligns[at : at + 1]) for at, width in enumerate(widths)]
        lines.append((" " * gap).join(cells).rstrip())
    return lines


def _cell(row: Sequence[str], at: int) -> str:
    return row[at] if at < len(row) else ""


def _pad(text: str, width: int, align: str) -> str:
    if align == ">":
        return text.rjust(width)
    if align == "^":
        return text.center(width)
    return text.ljust(width)
