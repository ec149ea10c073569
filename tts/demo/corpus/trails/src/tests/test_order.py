from trails import in_order


def test_needed_tasks_come_first():
    assert in_order({"bake": {"mix"}, "mix": {"buy"}, "buy": set()}) == ["buy", "mix", "bake"]


def test_tasks_that_are_only_needed():
    assert in_order({"b": {"a"}}) == ["a", "b"]


def test_by_name_otherwise():
    assert in_order({"z": set(), "y": set(), "x": set()}) == ["x", "y", "z"]


def test_a_circle_is_an_error():
    try:
        in_order({"hen": {"egg"}, "egg": {"hen"}})
    except ValueError as error:
        assert "egg" in str(error)
        return
    assert False
