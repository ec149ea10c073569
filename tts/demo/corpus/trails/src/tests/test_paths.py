from trails import costs, hops, shortest, within

LINE = {"a": {"b": 1}, "b": {"c": 1}, "c": {"d": 1}}
FORK = {"a": {"b": 2, "c": 5}, "b": {"d": 4}, "c": {"d": 4}}


def test_hops_along_a_line():
    assert hops(LINE, "a") == {"a": 0, "b": 1, "c": 2, "d": 3}
    assert hops(LINE, "d") == {"d": 0}


def test_costs():
    assert costs(FORK, "a") == {"a": 0, "b": 2, "c": 5, "d": 6}


def test_shortest_takes_the_cheaper_branch():
    assert shortest(FORK, "a", "d") == (6, ["a", "b", "d"])


def test_shortest_to_oneself():
    assert shortest(FORK, "b", "b") == (0, ["b"])


def test_no_path():
    assert shortest(FORK, "d", "a") is None


def test_within_a_budget():
    assert within(FORK, "a", 3) == ["a", "b"]
    assert within(FORK, "a", 100) == ["a", "b", "c", "d"]
