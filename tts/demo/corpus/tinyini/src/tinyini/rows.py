"""Rows of cells; a cell that holds a separator or a quotation mark stands in quotation marks."""

QUOTE = '"'


def split_row(row, separator=","):
    """Return the cells of the row; two quotation marks inside a quoted cell stand for one.

    An empty row has one empty cell.
    """
    cells = []
    cell = ""
    quoted = False
    at = 0
    while at < len(row):
        char = row[at]
        if quoted and row.startswith(QUOTE * 2, at):
            cell += QUOTE
            at += 1
        elif char == QUOTE:
            quoted = not quoted
        elif char == separator and not quoted:
            cells.append(cell)
            cell = ""
        else:
            cell += char
        at += 1
    cells.append(cell)
    return cells


def join_row(cells, separator=","):
    """Return the row that `split_row` takes apart into these cells."""
    texts = []
    for cell in cells:
        if separator in cell or QUOTE in cell:
            cell = QUOTE + cell.replace(QUOTE, QUOTE * 2) + QUOTE
        texts.append(cell)
    return separator.join(texts)
