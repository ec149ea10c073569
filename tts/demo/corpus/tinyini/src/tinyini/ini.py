"""Ini files: `[section]` lines and `key = value` lines below them."""

TRUE_WORDS = ("yes", "true", "on", "1")
FALSE_WORDS = ("no", "false", "off", "0")


def parse(text, defaults=None):
    """Return a dictionary of sections, each a dictionary of texts; every section begins with the defaults.

    Keys before the first section go to the section "".  Lines that begin with `#` or `;` are comments,
    and so is what follows such a sign behind a space.  A value may hold the sign `=`.
    """
    sections = {}
    name = ""
    for number, line in enumerate(text.splitlines(), 1):
        line = without_comment(line)
        if not line:
            continue
        if line.startswith("[") and line.endswith("]"):
            name = line[1:-1].strip()
            sections.setdefault(name, dict(defaults or {}))
        elif "=" in line:
            key, _, value = line.partition("=")
            section = sections.setdefault(name, dict(defaults or {}))
            section[key.strip().lower()] = value.strip()
        else:
            raise ValueError(f"line {number} is neither a section nor a value: {line!r}")
    return sections


def without_comment(line):
    """Return the line without a comment and without white space around it."""
    if line.lstrip().startswith(("#", ";")):
        return ""
    for mark in (" #", " ;"):
        line = line.split(mark)[0]
    return line.strip()


def get_bool(section, key, default=False):
    """Return the value as True or False, in whatever case the word is written; `default` if it is not there.

    Raises ValueError for another word.
    """
    if key not in section:
        return default
    word = section[key].lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ValueError(f"{key} is neither true nor false: {word!r}")


def dump(sections):
    """Return the text of an ini file that `parse` reads back to the same sections."""
    blocks = []
    for name, values in sections.items():
        lines = [f"[{name}]"] if name else []
        lines += [f"{key} = {value}" for key, value in values.items()]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"
