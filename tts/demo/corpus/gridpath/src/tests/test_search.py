from gridpath import Grid, cheapest_cost, nearest, shortest_path, within


def test_path_round_a_wall():
    grid = Grid("""
        .#.
        .#.
        ...
    """)
    path = shortest_path(grid, (0, 0), (0, 2))
    assert path == [(0, 0), (1, 0), (2, 0), (2, 1), (2, 2), (1, 2), (0, 2)]


def test_no_path():
    assert shortest_path(Grid(".#."), (0, 0), (0, 2)) is None


def test_within_stops_at_walls():
    assert within(Grid("..#.."), (0, 0), 9) == [(0, 0), (0, 1)]


def test_within_leaves_out_far_cells():
    assert (0, 4) not in within(Grid("....."), (0, 0), 2)


def test_nearest_goal():
    assert nearest(Grid("......"), (0, 2), [(0, 5), (0, 0)]) == (0, 0)
    assert nearest(Grid("..#..."), (0, 0), [(0, 5)]) is None


def test_cheapest_way_avoids_dear_cells():
    assert cheapest_cost(Grid("191 111"), (0, 0), (0, 1)) == 9
    assert cheapest_cost(Grid("191 111"), (0, 0), (1, 2)) == 3


def test_no_way_has_no_cost():
    assert cheapest_cost(Grid("1#1"), (0, 0), (0, 2)) is None
