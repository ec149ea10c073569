"""Blocks of lines: lists, tables, and text that was indented with the code around it."""

from typeset.lines import wrap


def dedent(text):
    """Return the text without the indentation that all its lines share.

    Lines of nothing but white space have no say in what is shared.
    """
    lines = text.splitlines()
    margins = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
    margin = min(margins, default=0)
    return "\n".join(line[margin:] for line in lines)


def bullets(items, width, mark="- "):
    """Return the items as a list in lines of at most `width` characters.

    Each item begins with `mark`; its further lines are indented to stand below its first word.
    """
    lines = []
    for item in items:
        lead = mark
        for line in wrap(item, width - len(mark)):
            lines.append(lead + line)
            lead = " " * len(mark)
    return "\n".join(lines)


def table(rows, gap=2):
    """Return the rows as lines with aligned columns, `gap` spaces apart; rows may differ in length."""
    n_columns = max((len(row) for row in rows), default=0)
    filled = [[*row, *[""] * (n_columns - len(row))] for row in rows]
    widths = [max(len(row[i]) for row in filled) for i in range(n_columns)]
    lines = []
    for row in filled:
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]
        lines.append((" " * gap).join(cells).rstrip())
    return "\n".join(lines)
