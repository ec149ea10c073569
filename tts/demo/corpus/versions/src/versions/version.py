"""One version: three numbers, and for a preview the words behind the hyphen."""

from dataclasses import dataclass
from functools import total_ordering


@total_ordering
@dataclass(frozen=True)
class Version:
    """A version; `preview` holds the dotted words behind the hyphen, and is empty for a release."""

    major: int
    minor: int = 0
    patch: int = 0
    preview: tuple = ()

    def __lt__(self, other):
        return self._key() < other._key()

    def __str__(self):
        text = f"{self.major}.{self.minor}.{self.patch}"
        return f"{text}-{'.'.join(self.preview)}" if self.preview else text

    def _key(self):
        """Previews come before their release; numbers in them come before words, and count as numbers."""
        words = [(0, int(word), "") if word.isdigit() else (1, 0, word) for word in self.preview]
        return (self.major, self.minor, self.patch, not self.preview, words)


def parse(text):
    """Return the version; numbers that are missing are 0, a `v` before and anything behind `+` is dropped.

    Raises ValueError if the text is no version.
    """
    text, _, _ = text.strip().removeprefix("v").partition("+")
    numbers, _, preview = text.partition("-")
    parts = [int(number) for number in numbers.split(".")]
    if len(parts) > 3:
        raise ValueError(f"more than three numbers: {text!r}")
    return Version(*parts, preview=tuple(preview.split(".")) if preview else ())
