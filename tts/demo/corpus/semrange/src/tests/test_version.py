from semrange import Version


def test_parse_and_print():
    assert str(Version.parse("v1.2")) == "1.2.0"
    assert str(Version.parse("1.2.3-rc.1+linux")) == "1.2.3-rc.1"


def test_parse_rejects():
    for text in ("", "1.x", "1.2.3.4"):
        try:
            Version.parse(text)
        except ValueError:
            continue
        raise AssertionError(text)


def test_numbers_order():
    assert Version(1, 9, 0) < Version(1, 10, 0) < Version(2)
    assert Version(1, 2, 3) == Version.parse("1.2.3")


def test_pre_release_comes_before_release():
    assert Version.parse("1.0.0-rc.1") < Version.parse("1.0.0")
    assert Version.parse("1.0.0-alpha") < Version.parse("1.0.0-beta")


def test_next():
    assert Version(1, 4, 2).next_minor() == Version(1, 5)
    assert Version(1, 4, 2).next_major() == Version(2)
