from gridpath import Grid


def test_walls_and_borders_are_closed():
    grid = Grid("..# ...")
    assert grid.is_open(0, 0)
    assert grid.is_open(1, 2)
    assert not grid.is_open(0, 2)
    assert not grid.is_open(-1, 0)
    assert not grid.is_open(2, 0)


def test_straight_neighbours():
    assert Grid("... ... ...").neighbours((1, 1)) == [(0, 1), (1, 0), (1, 2), (2, 1)]


def test_diagonal_neighbours_in_the_open():
    assert len(Grid("... ... ...", diagonal=True).neighbours((1, 1))) == 8


def test_no_squeezing_between_two_walls():
    assert Grid(".# #.", diagonal=True).neighbours((0, 0)) == []


def test_weights():
    grid = Grid("1.9")
    assert [grid.weight(cell) for cell in grid.cells()] == [1, 1, 9]
