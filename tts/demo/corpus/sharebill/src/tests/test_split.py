from sharebill import split_by_weight, split_evenly


def test_even_split():
    assert split_evenly(900, ["ann", "bob", "cy"]) == {"ann": 300, "bob": 300, "cy": 300}


def test_odd_cents_go_to_the_first():
    assert split_evenly(1000, ["ann", "bob", "cy"]) == {"ann": 334, "bob": 333, "cy": 333}


def test_nobody():
    try:
        split_evenly(100, [])
    except ValueError:
        return
    raise AssertionError("no error")


def test_weighted_shares_add_up():
    assert sum(split_by_weight(101, {"ann": 1, "bob": 1}).values()) == 101
    assert sum(split_by_weight(4999, {"ann": 3, "bob": 4}).values()) == 4999
