"""Fit text into a width."""


def wrap(text: str, width: int) -> list[str]:
    """Return lines of at most `width` characters; words that are longer are cut."""
    if width < 1:
        raise ValueError("a line has room for at least one character")
    lines: list[str] = []
    line = ""
    for word in text.split():
        while len(word) > width:
            if line:
                lines.append(line)
                line = ""
            lines.append(word[:width])
            word = word[width:]
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


def shorten(text: str, width: int, mark: str = "...") -> str:
    """Return the text, or as much of its start as leaves room for the mark within `width`."""
    if len(text) <= width:
        return text
    if width <= len(mark):
        return mark[:width]
    return text[: width - len(mark)].rstrip() + mark
