from inifile import ParseError, parse

SAMPLE = """
name = demo   ; what it is called

[Server]
Host = example.org
motto = "one; two"   # quoted
query = a=b
"""


def test_sections_and_settings():
    server = {"host": "example.org", "motto": "one; two", "query": "a=b"}
    assert parse(SAMPLE) == {"": {"name": "demo"}, "Server": server}


def test_section_can_be_reopened():
    assert parse("[a]\nx = 1\n[b]\n[a]\ny = 2") == {"a": {"x": "1", "y": "2"}, "b": {}}


def test_bad_line_is_reported():
    message = ""
    try:
        parse("[a]\nx = 1\nnonsense\n")
    except ParseError as error:
        message = str(error)
    assert "nonsense" in message


def test_quotes_keep_blanks():
    assert parse('a = "  x "') == {"": {"a": "  x "}}
    assert parse('a = ""') == {"": {"a": ""}}
