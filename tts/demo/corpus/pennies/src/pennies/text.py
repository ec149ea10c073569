"""Sums of money as people write them: `$1,234.50`, `-$0.99`."""


def format_cents(cents, symbol="$"):
    """Return the sum with a symbol, commas between thousands, and two digits of cents.

    The sign stands before the symbol.
    """
    sign = "-" if cents < 0 else ""
    whole, part = divmod(abs(cents), 100)
    return f"{sign}{symbol}{whole:,}.{part:02d}"


def parse_cents(text, symbol="$"):
    """Return the cents that the text stands for; it may lack the symbol, commas, or digits behind the point.

    Raises ValueError if it is no such text.
    """
    text = text.strip()
    negative = text.startswith("-")
    text = text.removeprefix("-").removeprefix(symbol).replace(",", "")
    whole, _, part = text.partition(".")
    if len(part) > 2:
        raise ValueError(f"more than two digits of cents: {text!r}")
    cents = int(whole or "0") * 100 + int(part.ljust(2, "0"))
    return -cents if negative else cents
