"""Where the symlinks of a git tree lead, by way of one another."""

from __future__ import annotations

import os
from collections.abc import Mapping

from tts.workspaces.patches import Scratch

LINK = b"120000"
MOST_HOPS = 40
"""A path that goes through more links is read by no system."""


def links_of(scratch: Scratch, tree: str) -> dict[str, str]:
    """Return the symlinks of a tree with their targets, by path."""
    rows = (row.partition(b"\t") for row in scratch.git("ls-tree", "-r", "-z", tree).split(b"\0") if row)
    found = [(os.fsdecode(path), head.split()[2]) for head, _, path in rows if head.startswith(LINK)]
    told = scratch.git("cat-file", "--batch", stdin=b"".join(blob + b"\n" for _, blob in found))
    links: dict[str, str] = {}
    for path, _ in found:
        head, _, told = told.partition(b"\n")
        size = int(head.split()[2])
        links[path], told = os.fsdecode(told[:size]), told[size + 1 :]
    return links


def leads_out(path: str, links: Mapping[str, str]) -> bool:
    """Return whether a symlink leads out of its tree, into a folder `.git`, or nowhere that can be told."""
    waiting, at, hops = path.split("/")[::-1], list[str](), 0
    while waiting:
        part = waiting.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not at:
                return True
            at.pop()
            continue
        at.append(part)
        target = links.get("/".join(at))
        if target is not None:
            hops += 1
            if hops > MOST_HOPS or target.startswith("/"):
                return True
            at.pop()
            waiting += target.split("/")[::-1]
    return any(part.lower() == ".git" for part in at)
