from inifile import Config, dump, parse


def test_fallback_and_defaults():
    config = Config("[defaults]\nport = 80\n[web]\nhost = a\n")
    assert config.get_int("web", "port") == 80
    assert config.get_int("web", "size", 5) == 5
    assert config.get("web", "Host") == "a"


def test_bool():
    config = Config("[web]\nopen = Yes\nfast = off\n")
    assert config.get_bool("web", "open") is True
    assert config.get_bool("web", "fast") is False
    assert config.get_bool("web", "other", True) is True


def test_dump_separates_sections():
    assert dump({"": {"a": "1"}, "b": {"c": "2"}}) == "a = 1\n\n[b]\nc = 2\n"


def test_dump_quotes_what_looks_like_a_comment():
    sections = {"a": {"x": "1; 2", "y": "plain words"}}
    assert parse(dump(sections)) == sections
    assert '"plain' not in dump(sections)


def test_set():
    config = Config("[a]\nx = 1\n")
    config.set("b", "Y", 2)
    assert config.text() == "[a]\nx = 1\n\n[b]\ny = 2\n"
