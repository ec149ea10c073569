"""Requirements: `>=1.2, <2`, `^1.2.3`, `~1.2.3`."""

from versions.version import Version, parse


def satisfies(version, requirement):
    """Return whether the version (a text) meets all parts of the requirement, which commas separate.

    A part is a sign and a version; `^` allows what keeps the first number that is not 0, and `~` what
    keeps major and minor. No sign means exactly this version.
    """
    found = parse(version)
    return all(_meets(found, part.strip()) for part in requirement.split(","))


def _meets(found, part):
    for sign in (">=", "<=", "!=", ">", "<", "^", "~"):
        if part.startswith(sign):
            return _holds(found, sign, parse(part.removeprefix(sign)))
    return found == parse(part)


def _holds(found, sign, wanted):
    if sign == "^":
        return wanted <= found < _next_breaking(wanted)
    if sign == "~":
        return wanted <= found < Version(wanted.major, wanted.minor + 1)
    return {
        ">=": found >= wanted,
        "<=": found <= wanted,
        "!=": found != wanted,
        ">": found > wanted,
        "<": found < wanted,
    }[sign]


def _next_breaking(version):
    """Return the first version that `^` no longer allows."""
    if version.major > 0:
        return Version(version.major + 1)
    if version.minor > 0:
        return Version(0, version.minor + 1)
    return Version(0, 0, version.patch + 1)


def latest(versions, requirement=">=0", previews=False):
    """Return the greatest of the versions (texts) that meet the requirement, None if there is none.

    Previews count only if asked for.
    """
    fitting = [text for text in versions if satisfies(text, requirement)]
    if not previews:
        fitting = [text for text in fitting if not parse(text).preview]
    return max(fitting, key=parse, default=None)
