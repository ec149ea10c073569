"""Amounts of money as whole cents."""


def parse_cents(text: str) -> int:
    """Return the cents of an amount such as "12.30", "$12.3", "-0.05" or "1,204"."""
    plain = text.strip().replace(",", "")
    negative = plain.startswith("-")
    whole, _, fraction = plain.lstrip("-").lstrip("$").partition(".")
    if len(fraction) > 2 or not (whole + fraction).isdigit():
        raise ValueError(f"not an amount: {text!r}")
    cents = int(whole or "0") * 100 + int(fraction.ljust(2, "0"))
    return -cents if negative else cents


def format_cents(cents: int) -> str:
    """Return the amount as text, such as "$1,204.05" or "-$0.50"."""
    sign = "-" if cents < 0 else ""
    whole, rest = divmod(abs(cents), 100)
    return f"{sign}${whole:,}.{rest:02d}"


def percent_of(cents: int, percent: int) -> int:
    """Return that part of an amount; half a cent rounds away from zero, as on a printed bill."""
    scaled = abs(cents) * percent
    rounded = (scaled + 50) // 100
    return rounded if cents >= 0 else -rounded
