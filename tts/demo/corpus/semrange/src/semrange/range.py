"""Ranges of versions: "^1.2", "~1.4.1", ">=1.0 <2.0 || >=3.1"."""

from dataclasses import dataclass

from semrange.version import Version

SIGNS = (">=", "<=", "!=", ">", "<", "=", "^", "~")


@dataclass(frozen=True)
class Range:
    """Alternatives, each a tuple of (sign, version) that must all hold."""

    alternatives: tuple[tuple[tuple[str, Version], ...], ...]

    @classmethod
    def parse(cls, text: str) -> "Range":
        """Read alternatives between "||", each of conditions with blanks between; "*" is any version."""
        return cls(tuple(tuple(_conditions(part)) for part in text.split("||")))

    def __contains__(self, version: Version) -> bool:
        return any(all(_holds(sign, bound, version) for sign, bound in part) for part in self.alternatives)


def _conditions(text: str) -> list[tuple[str, Version]]:
    found: list[tuple[str, Version]] = []
    for word in text.split():
        if word == "*":
            continue
        sign = next((sign for sign in SIGNS if word.startswith(sign)), "")
        found.extend(_bounds(sign, Version.parse(word[len(sign) :])))
    return found


def _bounds(sign: str, version: Version) -> list[tuple[str, Version]]:
    """Spell out what a sign stands for; "^" keeps the first number that is not zero."""
    if sign == "^":
        breaking = version.next_major() if version.major > 0 else version.next_minor()
        return [(">=", version), ("<", breaking)]
    if sign == "~":
        return [(">=", version), ("<", version.next_minor())]
    return [(sign or "=", version)]


def _holds(sign: str, bound: Version, version: Version) -> bool:
    if sign in ("=", "!="):
        return (version == bound) is (sign == "=")
    if sign in (">", ">="):
        return version > bound or (sign == ">=" and version == bound)
    return version < bound or (sign == "<=" and version == bound)
