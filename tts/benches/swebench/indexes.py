"""What pip's own configuration needs inside a sandbox: variables, files and folders."""

from __future__ import annotations

import configparser
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tts.sandboxes.box import Mount

PREFIXES = ("PIP_", "UV_")
NAMES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")

SYSTEM_FILES = (Path("/etc/pip.conf"), Path("/etc/xdg/pip/pip.conf"))
USER_FILES = (Path(".config/pip/pip.conf"), Path(".pip/pip.conf"))


def install_setting(environ: Mapping[str, str] = os.environ) -> tuple[dict[str, str], tuple[Mount, ...]]:
    """Return the variables that an install is handed, and the files and folders that it must see.

    Variables of pip, uv, certificates and proxies pass; nothing else does. Shown are pip's configuration
    files and whatever of this machine their values name, such as a folder of wheels.
    """
    proxies = {name for word in PROXIES for name in (word, word.lower())}
    env = {n: v for n, v in environ.items() if n.startswith(PREFIXES) or n in NAMES or n in proxies}
    files = [path for path in SYSTEM_FILES if path.is_file()]
    home = [Path(environ.get("HOME", "/nonexistent"), name) for name in USER_FILES]
    if "PIP_CONFIG_FILE" in env:
        files += [path for path in [Path(env["PIP_CONFIG_FILE"])] if path.is_file()]
    elif own := [path for path in home if path.is_file()]:
        env["PIP_CONFIG_FILE"] = str(own[0])  # HOME is another one inside
        files.append(own[0])
    values = [*env.values(), *(value for file in files for value in _values(file))]
    named = (path for value in values for path in _paths(value))
    shown = dict.fromkeys(path for path in (*files, *named) if not path.is_relative_to("/usr"))
    return env, tuple(Mount(path) for path in shown)


def _values(file: Path) -> Iterator[str]:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read(file)
    except (configparser.Error, OSError, UnicodeDecodeError):
        return  # pip will say so itself
    for section in parser.sections():
        for _, value in parser.items(section):
            yield value


def _paths(value: str) -> Iterator[Path]:
    """Yield the paths of this machine that a value names, as a path or a `file:` address."""
    for word in value.split():
        text = unquote(urlsplit(word).path) if word.startswith("file:") else word
        path = Path(text)
        if text.startswith("/") and path != Path("/") and path.exists():
            yield path.parent if _beside_its_files(path) else path


def _beside_its_files(path: Path) -> bool:
    """Whether it is a page of links, or an index's folder `simple`: its links lead to what lies beside it."""
    page = path.is_file() and path.suffix in (".html", ".htm")
    return (page or path.name == "simple") and path.parent != Path("/")
