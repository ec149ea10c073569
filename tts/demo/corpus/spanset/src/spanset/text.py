"""Reading and writing span lists such as "1-4,7"; the text is inclusive at both ends."""


def parse(text):
    """Half-open spans in the order written; blank entries are ignored."""
    spans = []
    for part in text.split(","):
        part = part.strip()
        if not part:
            continue
        first, dash, last = part.partition("-")
        low = int(first)
        high = int(last) if dash else low
        spans.append((low, high + 1))
    return spans


def dump(spans):
    """The text of half-open spans; a span of one number is written without a dash."""
    parts = []
    for lo, hi in spans:
        parts.append(str(lo) if hi - lo == 1 else f"{lo}-{hi - 1}")
    return ",".join(parts)
