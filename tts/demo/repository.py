"""A bare git repository with one commit, written without git, so that its name is known before it exists."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path

WHEN = 1_735_689_600
"""Unix time of every commit: 2025-01-01."""

WHO = "tts demo <demo@tts.invalid>"

Objects = dict[str, bytes]
"""Name to content with git's header, per object."""


def commit(files: Mapping[str, str]) -> tuple[str, Objects]:
    """Return the name and the objects of a commit that holds these files (path to text), without history."""
    objects: Objects = {}
    tree = _tree({path: text.encode() for path, text in files.items()}, objects)
    when = f"{WHO} {WHEN} +0000"
    body = f"tree {tree}\nauthor {when}\ncommitter {when}\n\nState of the code at the issue\n"
    return _add(objects, b"commit", body.encode()), objects


def _tree(files: Mapping[str, bytes], objects: Objects) -> str:
    folders: dict[str, dict[str, bytes]] = {}
    entries: list[tuple[str, bytes]] = []
    for path, data in files.items():
        head, slash, rest = path.partition("/")
        if slash:
            folders.setdefault(head, {})[rest] = data
        else:
            entries.append((head, b"100644 %b\0" % head.encode() + _raw(_add(objects, b"blob", data))))
    for name, inside in folders.items():
        entries.append((name + "/", b"40000 %b\0" % name.encode() + _raw(_tree(inside, objects))))
    return _add(objects, b"tree", b"".join(entry for _, entry in sorted(entries)))


def _add(objects: Objects, kind: bytes, data: bytes) -> str:
    content = b"%b %d\0" % (kind, len(data)) + data
    name = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    objects[name] = content
    return name


def _raw(name: str) -> bytes:
    return bytes.fromhex(name)


def write(files: Mapping[str, str], root: Path, title: str) -> tuple[Path, str]:
    """Return the repository's path below `root` and its commit's name; one that is there already is used.

    The path holds the commit's name: other files under the same title make another repository.
    """
    name, objects = commit(files)
    place = root / f"{title}-{name[:12]}.git"
    if place.exists():
        return place, name
    root.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{title}-", dir=root))
    try:
        _fill(draft, name, objects)
        draft.rename(place)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not place.exists():  # else another process was first, with the same content
            raise
    return place, name


def _fill(draft: Path, name: str, objects: Objects) -> None:
    for item, content in objects.items():
        folder = draft / "objects" / item[:2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / item[2:]).write_bytes(zlib.compress(content, 1))
    (draft / "refs" / "heads").mkdir(parents=True)
    (draft / "refs" / "heads" / "main").write_text(f"{name}\n")
    (draft / "HEAD").write_text("ref: refs/heads/main\n")
    (draft / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n")
