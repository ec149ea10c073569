"""Versions: parsing and order."""

from dataclasses import dataclass
from functools import total_ordering


@total_ordering
@dataclass(frozen=True)
class Version:
    """A version; `pre` holds the parts of a pre-release such as ("rc", "2"), () for a release."""

    major: int
    minor: int = 0
    patch: int = 0
    pre: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Version":
        """Read "1.2.3", "v1.2" or "1.2.3-rc.1+build"; what is missing is 0."""
        plain = text.strip().removeprefix("v").partition("+")[0]
        numbers, _, pre = plain.partition("-")
        parts = numbers.split(".")
        if len(parts) > 3 or not all(part.isdigit() for part in parts):
            raise ValueError(f"not a version: {text!r}")
        return cls(*(int(part) for part in parts), pre=tuple(pre.split(".")) if pre else ())

    def next_minor(self) -> "Version":
        """Return the first release of the next minor version."""
        return Version(self.major, self.minor + 1)

    def next_major(self) -> "Version":
        """Return the first release of the next major version."""
        return Version(self.major + 1)

    def __str__(self) -> str:
        numbers = f"{self.major}.{self.minor}.{self.patch}"
        return f"{numbers}-{'.'.join(self.pre)}" if self.pre else numbers

    def __lt__(self, other: "Version") -> bool:
        return self._key() < other._key()

    def _key(self) -> tuple[object, ...]:
        """Order: numbers first, then pre-releases before the release, numeric parts by value."""
        pre = tuple((0, int(part)) if part.isdigit() else (1, part) for part in self.pre)
        return (self.major, self.minor, self.patch, not self.pre, pre)
