"""Version numbers like `1.4.0-rc.1`: read, compared, and matched against requirements."""

from versions.require import latest, satisfies
from versions.version import Version, parse

__all__ = ["Version", "latest", "parse", "satisfies"]
