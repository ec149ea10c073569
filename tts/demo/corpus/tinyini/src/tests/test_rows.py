from tinyini import join_row, split_row


def test_plain_cells():
    assert split_row("a,b,c") == ["a", "b", "c"]
    assert split_row("a;b", separator=";") == ["a", "b"]


def test_an_empty_cell_in_the_middle():
    assert split_row("a,,c") == ["a", "", "c"]


def test_quoted_cells():
    assert split_row('a,"b,c",d') == ["a", "b,c", "d"]
    assert split_row('"say ""hi""",x') == ['say "hi"', "x"]


def test_join():
    assert join_row(["a", "b,c", 'say "hi"']) == 'a,"b,c","say ""hi"""'
