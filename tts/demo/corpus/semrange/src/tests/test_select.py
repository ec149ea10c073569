from semrange import best, outdated


def test_best_in_range():
    assert best("<2.0", ["1.0.0", "2.0.0"]) == "1.0.0"
    assert best(">=3.0", ["1.0.0", "2.0.0"]) is None


def test_best_skips_pre_releases():
    assert best("*", ["1.0.0", "1.1.0-rc.1"]) == "1.0.0"
    assert best("*", ["1.0.0", "1.1.0-rc.1"], pre=True) == "1.1.0-rc.1"


def test_nothing_released():
    assert outdated({"left": "1.0.0"}, {}) == []


def test_outdated():
    assert outdated({"left": "1.0.0", "pad": "2.1.0"}, {"left": ["1.1.0"], "pad": ["2.0.0"]}) == ["left"]
