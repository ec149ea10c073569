"""Text from strangers made safe to print, and numbers written in one way."""

from __future__ import annotations

import re

NONE = "–"
"""What stands for a figure that is not known."""

MARK = "\N{REPLACEMENT CHARACTER}"
"""What stands for a character that a terminal could obey, so that nothing goes away unseen."""

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 controls, ESC among them; tabs and line ends stay
    "\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # unseen or turning
    "\ud800-\udfff"  # lone surrogates, which no terminal can be sent
    "\U000e0000-\U000e007f]"  # tags
)


def clean(text: str) -> str:
    """Return text without terminal controls and direction overrides; lines and tabs stay."""
    return _UNSAFE.sub(MARK, text.replace("\r\n", "\n"))


def line(text: str, limit: int = 200) -> str:
    """Return text as one clean line of at most `limit` characters."""
    flat = " ".join(clean(text[: 4 * limit]).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def percent(share: float | None) -> str:
    """Return a share in [0, 1] as per cent, with one decimal and no sign."""
    return NONE if share is None else f"{100 * share:.1f}"


def points(difference: float | None) -> str:
    """Return a signed difference of shares in percentage points."""
    return NONE if difference is None else f"{100 * difference + 0.0:+.1f}"


def interval(ci: tuple[float, float] | None) -> str:
    """Return an interval of shares in per cent."""
    return NONE if ci is None else f"{100 * ci[0] + 0.0:.1f} to {100 * ci[1] + 0.0:.1f}"


def p_value(p: float | None) -> str:
    """Return a p value with three decimals."""
    if p is None:
        return NONE
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def count(n: float | None) -> str:
    """Return a count, or a mean of counts with one decimal where it is not whole."""
    if n is None:
        return NONE
    return f"{n:,.0f}" if abs(n - round(n)) < 0.05 else f"{n:,.1f}"


def usd(dollars: float | None) -> str:
    """Return dollars, to a hundredth of a cent below ten cents; `?` where a price is not known."""
    if dollars is None:
        return "?"
    return f"${dollars:,.4f}" if 0 < dollars < 0.1 else f"${dollars:,.2f}"


def seconds(duration: float | None) -> str:
    """Return a duration in seconds, minutes or hours."""
    if duration is None:
        return NONE
    if duration < 120:
        return f"{duration:.2f} s" if duration < 10 else f"{duration:.0f} s"
    return f"{duration / 60:.1f} min" if duration < 7200 else f"{duration / 3600:.1f} h"


def plural(n: int, noun: str) -> str:
    """Return a count with its noun: `1 rollout`, `2 rollouts`."""
    return f"{n:,} {noun if n == 1 else noun + 's'}"


def retries(n: int) -> str:
    """Return a count of retries."""
    return f"{n:,} {'retry' if n == 1 else 'retries'}"
