"""From text to a dict of sections, each a dict of texts."""


class ParseError(ValueError):
    """A line that is neither a section, a setting, a comment nor blank; `line` counts from 1."""

    def __init__(self, line, text):
        super().__init__(f"line {line}: {text!r}")
        self.line = line


def parse(text):
    """The sections in order; settings ahead of the first section are in the section ""."""
    sections = {}
    current = sections.setdefault("", {})
    for number, raw in enumerate(text.splitlines(), 1):
        line = without_comment(raw).strip()
        if not line:
            continue
        if line.startswith("[") and line.endswith("]"):
            current = sections.setdefault(line[1:-1].strip(), {})
            continue
        key, sign, value = line.partition("=")
        if not sign or not key.strip():
            raise ParseError(number, raw)
        current[key.strip().lower()] = unquote(value.strip())
    if not sections[""]:
        del sections[""]
    return sections


def without_comment(line):
    """The line up to a ";" or "#" that stands outside double quotes."""
    quoted = False
    for index, mark in enumerate(line):
        if mark == '"':
            quoted = not quoted
        elif mark in ";#" and not quoted:
            return line[:index]
    return line


def unquote(value):
    """The value without the pair of double quotes around it, if it has such a pair."""
    if len(value) > 1 and value.startswith('"') and value.endswith('"'):
        return value[1:-1]
    return value
