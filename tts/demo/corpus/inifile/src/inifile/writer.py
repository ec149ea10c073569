"""From sections to text that reads back the same."""


def dump(sections):
    """The text, with a blank line between sections."""
    blocks = []
    for name, settings in sections.items():
        lines = [f"[{name}]"] if name else []
        lines += [f"{key} = {quoted(value)}" for key, value in settings.items()]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def quoted(value):
    """The value, in double quotes where reading it back would change it otherwise."""
    text = str(value)
    has_comment_sign = any(sign in text for sign in ";#")
    if text != text.strip() or has_comment_sign or is_quoted(text):
        return f'"{text}"'
    return text


def is_quoted(text):
    return len(text) > 1 and text[0] == '"' and text[-1] == '"'
