from textgrid import columns_that_fit, grid


def test_no_names():
    assert grid([], 80) == []


def test_narrow_grid_has_one_column():
    assert grid(["alpha", "beta"], 3) == ["alpha", "beta"]
    assert columns_that_fit(1, 10) == 1


def test_wide_grid_has_one_row():
    assert grid(["a", "bb", "c"], 80) == ["a   bb  c"]
