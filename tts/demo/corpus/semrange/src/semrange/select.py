"""Choose among the versions that exist."""

from collections.abc import Iterable, Mapping

from semrange.range import Range
from semrange.version import Version


def best(wanted: str, available: Iterable[str], pre: bool = False) -> str | None:
    """Return the newest version in the range, None if there is none; pre-releases only with `pre`."""
    within = Range.parse(wanted)
    versions = [Version.parse(text) for text in available]
    fitting = [version for version in versions if version in within and (pre or not version.pre)]
    return str(max(fitting)) if fitting else None


def outdated(installed: Mapping[str, str], released: Mapping[str, list[str]]) -> list[str]:
    """Return the names, sorted, of what has a newer release than the installed one."""
    names: list[str] = []
    for name, version in installed.items():
        newest = best("*", released.get(name, []))
        if newest is not None and Version.parse(newest) > Version.parse(version):
            names.append(name)
    return sorted(names)
