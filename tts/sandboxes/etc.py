"""What a box has of /etc: what programs look for, and no keys, credentials or addresses of registries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tts.sandboxes.mounts import HOME

USER = "1000"

LISTED = (
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "timezone", "os-release"),
    *("debian_version", "mime.types", "magic", "protocols", "services", "fonts"),
    *("java*/[!m]*", "maven*/m2.conf", "maven*/logging"),
    *("ssl/certs", "ssl/cert.pem", "ssl/ca-bundle.pem", "ssl/openssl.cnf", "ca-certificates/extracted"),
    *("pki/tls/cert.pem", "pki/tls/certs/ca-bundle*.crt", "pki/tls/openssl.cnf", "pki/ca-trust/extracted"),
    *("pki/java", "crypto-policies"),
)
"""Patterns of what is shown besides the files that are made for the box.

Of Java not `management`, which may hold passwords, of Maven not its settings, and of certificates those of
authorities, where distributions keep them.
"""

ONLINE = ("resolv.conf", "hosts", "gai.conf")
"""What is shown to commands that may use the network."""

MADE = {
    "passwd": f"root:x:0:0:root:/root:/usr/sbin/nologin\nagent:x:{USER}:{USER}:agent:{HOME}:/bin/bash\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "group": f"root:x:0:\nagent:x:{USER}:\nnogroup:x:65534:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
}
"""The files of /etc that are made for each box."""


def etc(place: Path, *, online: bool, host: Path = Path("/etc")) -> Iterator[tuple[Path, str]]:
    """Yield what is shown in /etc, and where; the files that are made for the box lie in `place`."""
    for pattern in (*LISTED, *(ONLINE if online else ())):
        for path in sorted(host.glob(pattern)):
            if path.exists():
                yield path, f"/etc/{path.relative_to(host)}"
    for name in MADE:
        if not (online and name in ONLINE):
            yield place / name, f"/etc/{name}"
