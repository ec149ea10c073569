from textgrid import shorten, wrap


def test_wrap():
    assert wrap("the quick brown fox", 10) == ["the quick", "brown fox"]
    assert wrap("one two", 80) == ["one two"]


def test_wrap_nothing():
    assert wrap("", 10) == []
    assert wrap("   ", 10) == []


def test_wrap_cuts_long_words():
    assert wrap("abcdefgh", 3) == ["abc", "def", "gh"]


def test_wrap_needs_room():
    try:
        wrap("a", 0)
    except ValueError:
        return
    raise AssertionError("no error")


def test_short_text_is_kept():
    assert shorten("hello", 5) == "hello"
    assert shorten("", 5) == ""


def test_no_room_for_text():
    assert shorten("hello", 2) == ".."
    assert shorten("hello", 3) == "..."
