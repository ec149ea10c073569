from versions import Version, parse


def test_parse():
    assert parse("1.2.3") == Version(1, 2, 3)
    assert parse("v2.0") == Version(2, 0, 0)
    assert parse("1.0.0-rc.1") == Version(1, 0, 0, ("rc", "1"))


def test_what_is_built_does_not_matter():
    assert parse("1.2.3+linux") == Version(1, 2, 3)


def test_parse_too_many_numbers():
    try:
        parse("1.2.3.4")
    except ValueError:
        return
    assert False


def test_order_of_releases():
    assert parse("1.9.0") < parse("1.10.0")
    assert parse("2.0.0") > parse("1.99.99")


def test_previews_come_before_their_release():
    assert parse("1.0.0-rc.1") < parse("1.0.0")
    assert parse("1.0.0-alpha") < parse("1.0.0-beta")


def test_text():
    assert str(parse("1.2")) == "1.2.0"
    assert str(parse("1.0.0-rc.1")) == "1.0.0-rc.1"
