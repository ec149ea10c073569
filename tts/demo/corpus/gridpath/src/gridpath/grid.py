"""The grid: "#" is a wall, a digit is a cell that costs as much to enter, any other character costs 1."""

STRAIGHT = ((-1, 0), (0, -1), (0, 1), (1, 0))
DIAGONAL = ((-1, -1), (-1, 1), (1, -1), (1, 1))


class Grid:
    """Rows of cells; a cell is named (row, column), counted from the top left."""

    def __init__(self, text, diagonal=False):
        self.rows = [line.strip() for line in text.split()]
        self.diagonal = diagonal

    def cells(self):
        """All open cells in reading order."""
        places = [(row, column) for row, line in enumerate(self.rows) for column in range(len(line))]
        return [(row, column) for row, column in places if self.is_open(row, column)]

    def is_open(self, row, column):
        if row < 0 or column < 0:
            return False
        if row >= len(self.rows) or column >= len(self.rows[row]):
            return False
        return self.rows[row][column] != "#"

    def weight(self, cell):
        """What it costs to enter the cell."""
        mark = self.rows[cell[0]][cell[1]]
        return int(mark) if mark.isdigit() else 1

    def neighbours(self, cell):
        """Open cells one step away; a diagonal step may not cut the corner of a wall."""
        row, column = cell
        near = [(row + down, column + right) for down, right in STRAIGHT]
        found = [place for place in near if self.is_open(*place)]
        if self.diagonal:
            for down, right in DIAGONAL:
                clear = self.is_open(row + down, column) and self.is_open(row, column + right)
                if clear and self.is_open(row + down, column + right):
                    found.append((row + down, column + right))
        return found
