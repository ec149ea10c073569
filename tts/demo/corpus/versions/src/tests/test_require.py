from versions import latest, satisfies


def test_exactly():
    assert satisfies("1.2.0", "1.2")
    assert not satisfies("1.2.1", "1.2")


def test_below():
    assert satisfies("1.9.9", "<2")
    assert not satisfies("2.0.0", "<2")


def test_caret():
    assert satisfies("1.2.3", "^1.2.3")
    assert satisfies("1.9.0", "^1.2.3")
    assert not satisfies("2.0.0", "^1.2.3")


def test_tilde():
    assert satisfies("1.2.9", "~1.2.3")
    assert not satisfies("1.3.0", "~1.2.3")


def test_latest():
    assert latest(["1.0.0", "1.10.0", "1.9.0"], "^1") == "1.10.0"
    assert latest(["1.0.0", "1.1.0-rc.1"], "^1") == "1.0.0"
    assert latest(["1.0.0"], "^2") is None
