"""Text that nobody vouches for shows all that it says."""

import pytest

from tts.hostile import clean, cut, line

HIDDEN = "\u061c\u200b\u200c\u200d\u200e\u202e\u2060\u2066\ufeff\U000e0041\x07"


@pytest.mark.parametrize("mark", list(HIDDEN))
def test_nothing_invisible_is_left(mark: str) -> None:
    for shown in (clean(f"a{mark}b"), cut(f"a{mark}b", 100), line(f"a{mark}b", 100)):
        assert mark not in shown
        assert shown.startswith("a")
        assert shown.endswith("b")


def test_what_is_written_in_other_scripts_stays() -> None:
    text = "naïve\t日本語\nعربى 👍 ﷺ"
    assert clean(text) == text
