from semrange import Range, Version


def inside(text, version):
    return Version.parse(version) in Range.parse(text)


def test_comparisons():
    assert inside(">=1.0 <2.0", "1.0.0")
    assert not inside(">=1.0 <2.0", "2.0.0")
    assert inside(">1.0 <=2.0", "2.0.0")
    assert not inside(">1.0 <=2.0", "1.0.0")


def test_exact_and_not():
    assert inside("1.2.3", "1.2.3")
    assert not inside("!=1.2.3", "1.2.3")


def test_star_and_alternatives():
    assert inside("*", "0.0.1")
    assert inside("<1.0 || >=3.0", "3.1.0")


def test_caret():
    assert inside("^1.2", "1.9.0")
    assert not inside("^1.2", "1.1.9")
    assert not inside("^1.2", "2.0.0")


def test_tilde_lower_bound():
    assert inside("~1.4.2", "1.4.2")
    assert not inside("~1.4.2", "1.4.1")
