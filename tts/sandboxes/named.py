"""The sandbox of a name, and mounts as a command line writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tts.errors import UsageError
from tts.sandboxes.box import CAPS, Caps, Mount, Sandbox
from tts.sandboxes.bwrap import Bwrap
from tts.sandboxes.mounts import check
from tts.sandboxes.none import NoSandbox
from tts.sandboxes.preflight import bubblewrap


def sandbox(
    name: str = "", *, caps: Caps = CAPS, mounts: Sequence[Mount] = (), env: Sequence[str] = ()
) -> Sandbox:
    """Return the sandbox of a name: `bwrap` (also for the empty name) or `none`.

    Raises:
        UsageError: there is none of this name, it cannot be had here, or a mount cannot stand where it is to;
            says the way out.
    """
    if name in ("", "bwrap"):
        bubblewrap()
        check(mounts)
        return Bwrap(caps, tuple(mounts), tuple(env))
    if name == "none":
        if mounts:
            raise UsageError("without a sandbox nothing is mounted: leave out the mounts, or use bwrap")
        return NoSandbox(caps, tuple(env))
    if name == "docker":
        raise UsageError(
            "docker is mini-swe-agent's own environment: choose it with the agent mini; "
            "commands and tests run under bwrap or none"
        )
    raise UsageError(f"there is no sandbox {name[:80]!r}; choose bwrap or none")


def mount_of(text: str) -> Mount:
    """Return the mount that `PATH[:TARGET][:rw]` stands for; PATH is of this machine and must exist.

    Raises:
        UsageError: it is written otherwise, or there is no such path.
    """
    source, *more = text.split(":")
    writable = bool(more) and more[-1] == "rw"
    places = more[:-1] if writable else more
    if not source or len(places) > 1 or not all(place.startswith("/") for place in places):
        raise UsageError(f"a mount is PATH[:TARGET][:rw] with a full path as TARGET, not {text[:200]!r}")
    path = Path(source).expanduser().absolute()
    if not path.exists():
        raise UsageError(f"cannot mount {source}: there is no such file or folder")
    return Mount(path, places[0] if places else str(path), writable)
