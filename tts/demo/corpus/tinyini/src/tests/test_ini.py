from tinyini import dump, get_bool, parse

TEXT = """
; how the app looks
theme = dark

[window]
Width = 80   ; in characters
title = my app
"""


def test_parse():
    assert parse(TEXT) == {"": {"theme": "dark"}, "window": {"width": "80", "title": "my app"}}


def test_nothing():
    assert parse("") == {}
    assert parse("# a comment\n\n") == {}


def test_defaults():
    assert parse("[a]\nx = 2\n", defaults={"x": "1", "y": "1"}) == {"a": {"x": "2", "y": "1"}}


def test_a_section_may_be_continued():
    assert parse("[a]\nx = 1\n[b]\n[a]\ny = 2\n") == {"a": {"x": "1", "y": "2"}, "b": {}}


def test_a_line_without_sense():
    try:
        parse("[a]\nnonsense\n")
    except ValueError as error:
        assert "line 2" in str(error)
        return
    assert False


def test_get_bool():
    section = {"a": "yes", "b": "off"}
    assert get_bool(section, "a") is True
    assert get_bool(section, "b") is False
    assert get_bool(section, "c", default=True) is True


def test_dump():
    sections = {"": {"theme": "dark"}, "window": {"width": "80"}}
    assert dump(sections) == "theme = dark\n\n[window]\nwidth = 80\n"
    assert parse(dump(sections)) == sections
