from typeset import shorten, wrap


def test_wrap_fills_lines():
    assert wrap("the quick brown fox", 10) == ["the quick", "brown fox"]


def test_wrap_of_nothing():
    assert wrap("", 10) == []
    assert wrap("   ", 10) == []


def test_a_long_word_stands_alone():
    assert wrap("a extraordinary b", 5) == ["a", "extraordinary", "b"]


def test_shorten_leaves_short_text_alone():
    assert shorten("short  text", 10) == "short text"


def test_shorten_cuts_behind_a_word():
    assert shorten("hello world", 9) == "hello..."


def test_shorten_cuts_a_long_first_word():
    assert shorten("extraordinary", 8) == "extra..."
