from textgrid import align_points, render


def test_render():
    rows = [["name", "size"], ["a.txt", "5"], ["bb.txt", "120"]]
    assert render(rows, "<>") == ["name    size", "a.txt      5", "bb.txt   120"]


def test_render_center():
    assert render([["abc"], ["x"]], "^") == ["abc", " x"]


def test_render_nothing():
    assert render([]) == []


def test_short_rows():
    assert render([["a"], ["b", "c"]]) == ["a", "b  c"]


def test_points():
    assert align_points(["1.5", "10.25"]) == [" 1.5 ", "10.25"]
