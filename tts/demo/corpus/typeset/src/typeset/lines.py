"""Breaks running text into lines, and shortens it to one."""


def wrap(text, width):
    """Return the words of the text in lines of at most `width` characters.

    A word that is longer than `width` stands alone on a line of its own.
    """
    lines = []
    line = ""
    for word in text.split():
        if not line:
            line = word
        elif len(line) + 1 + len(word) <= width:
            line += " " + word
        else:
            lines.append(line)
            line = word
    if line:
        lines.append(line)
    return lines


def shorten(text, width, mark="..."):
    """Return the text in at most `width` characters, cut behind a word and ended by `mark`.

    As many whole words are kept as fit before the mark. A text that fits is returned without a mark.
    A first word that is too long is cut.
    """
    text = " ".join(text.split())
    if len(text) <= width:
        return text
    room = width - len(mark)
    cut = text[: room + 1].rfind(" ")
    if cut <= 0:
        return text[:room] + mark
    return text[:cut] + mark
