from typeset import bullets, dedent, table


def test_dedent():
    assert dedent("    one\n    two") == "one\ntwo"
    assert dedent("") == ""


def test_bullets_of_short_items():
    assert bullets(["tea", "milk"], 20) == "- tea\n- milk"


def test_bullets_of_nothing():
    assert bullets([], 20) == ""


def test_table_aligns_columns():
    assert table([["a", "bb"], ["ccc", "d"]]) == "a    bb\nccc  d"


def test_table_with_short_rows():
    assert table([["a"], ["b", "c"]]) == "a\nb  c"
