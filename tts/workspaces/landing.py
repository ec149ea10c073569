"""Puts a patch on a repository of the user's: on the files of its working tree, or on a new branch.

The patch is hostile. What it comes to is worked out in a scratch repository that shares nothing with the
user's but the objects, so no hook, filter, merge driver or setting has a say; only what was found harmless is
written. Nothing changes the index, HEAD, or a file that the patch does not name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from tts.errors import UsageError
from tts.hostile import line
from tts.workspaces.links import leads_out, links_of
from tts.workspaces.moves import Put, put_all, recover
from tts.workspaces.patches import (
    Changed,
    Scratch,
    Unlanded,
    applied,
    changes_of,
    commit_of,
    git,
    git_folder,
    identity,
    ignored,
    scratch_of,
    top_of,
    written,
)
from tts.workspaces.roots import scratch_folder

LINK, MODULE = "120000", "160000"
SHOWN = 8
"""How many names of files a message lists."""


def land(patch: str, repo: Path) -> list[str]:
    """Put the patch on the working tree, merged three-way with HEAD; return the files that it changed.

    All or nothing: where a file of the patch has changes that are not committed, where the patch does not
    fit or names a place it must not, nothing is changed. The index stays as it is.

    Raises:
        Unlanded: it cannot be put there.
    """
    top = top_of(repo)
    if back := recover(top, git_folder(top)):
        raise Unlanded(
            "an earlier landing was killed; what it had changed is as it was before: "
            f"{_listed(back)}; have a look, and try again"
        )
    with scratch_of(top) as scratch:
        head = commit_of(top)
        tree = applied(scratch, patch, head, "--cached", "--3way")
        changes = changes_of(scratch, head, tree)
        _check_places(top, changes)
        _check_targets(scratch, tree, changes)
        _check_ignored(top, changes)
        _check_clean(top, changes)
        _check_filters(top, changes)
        contents = {c.path: _content(top, scratch, c) for c in changes if c.kind != "deleted"}
    try:
        put_all(top, git_folder(top), [_put(change, contents) for change in changes])
    except OSError as error:
        raise Unlanded(f"a file could not be written, and nothing was changed: {error}") from error
    return [change.path for change in changes]


def branch(patch: str, repo: Path, base: str, name: str, message: str) -> str:
    """Commit the patch on a new branch from the commit `base`; return the new commit's hash.

    The working tree, the index and HEAD stay as they are; hooks are not run.

    Raises:
        Unlanded: the branch exists, its name is none, the patch cannot be taken, or git knows no author.
    """
    check_branch(repo, name)
    who = identity(repo)
    with scratch_of(repo) as scratch:
        tree = applied(scratch, patch, base, "--cached")
        changes = changes_of(scratch, base, tree)
        if not changes:
            raise Unlanded("the patch changes nothing: there is nothing to commit")
        _check_names(changes)
        _check_targets(scratch, tree, changes)
        _check_ignored(top_of(repo), changes)
    with scratch_folder("index") as folder:
        file = written(folder, patch)
        env = {"GIT_INDEX_FILE": str(folder / "index"), **who}
        git("read-tree", base, cwd=repo, env=env)
        git("apply", "--cached", "--whitespace=nowarn", str(file), cwd=top_of(repo), env=env)
        made = git("write-tree", cwd=repo, env=env).decode().strip()
        if made != tree:
            raise Unlanded("the patch comes to something else in your repository than where it was checked")
        commit = git("commit-tree", made, "-p", base, "-m", message, cwd=repo, env=env).decode().strip()
    git("update-ref", "-m", "tts solve", f"refs/heads/{name}", commit, "0" * len(commit), cwd=repo, env=who)
    return commit


def check_branch(repo: Path, name: str) -> None:
    """Check that a branch of that name can be made, and that git knows who makes it.

    Raises:
        Unlanded: it cannot.
    """
    try:
        git("check-ref-format", f"refs/heads/{name}", cwd=repo)
    except UsageError:
        raise Unlanded(f"{line(name, 100)!r} is no name for a branch") from None
    if name.startswith("-") or name == "HEAD":
        raise Unlanded(f"{line(name, 100)!r} is no name for a branch")
    try:
        git("rev-parse", "--verify", "--quiet", f"refs/heads/{name}", cwd=repo)
    except UsageError:
        identity(repo)
        return
    raise Unlanded(f"the branch {line(name, 100)!r} exists already: give another name")


def _check_names(changes: Sequence[Changed]) -> None:
    """Refuse places that no patch may name; git has refused most of them by now."""
    for change in changes:
        parts = PurePosixPath(change.path).parts
        inside = parts and not change.path.startswith("/") and ".." not in parts
        if not inside or any(part.lower() in (".git", "git~1") for part in parts):
            raise Unlanded(f"the patch names a place that it must not touch: {line(change.path, 200)}")
        if MODULE in (change.before, change.after):
            raise Unlanded(f"the patch changes a submodule, which is not taken: {line(change.path, 200)}")


def _check_places(top: Path, changes: Sequence[Changed]) -> None:
    """Refuse to write through a symlink, over a folder, or over a file that git does not know."""
    _check_names(changes)
    for change in changes:
        place = top
        for part in PurePosixPath(change.path).parts[:-1]:
            place /= part
            shown = str(place.relative_to(top))
            if os.path.islink(place):
                raise Unlanded(f"the patch would write through the symlink {line(shown, 200)}")
            if os.path.lexists(place) and not os.path.isdir(place) and not _goes(shown, changes):
                raise Unlanded(f"there is a file where the patch needs a folder: {line(change.path, 200)}")
        if os.path.isdir(top / change.path) and not os.path.islink(top / change.path):
            raise Unlanded(f"there is a folder where the patch has a file: {line(change.path, 200)}")


def _goes(path: str, changes: Sequence[Changed]) -> bool:
    return any(change.path == path and change.kind == "deleted" for change in changes)


def _check_targets(scratch: Scratch, tree: str, changes: Sequence[Changed]) -> None:
    """Refuse symlinks that lead out of the tree, by way of whatever links."""
    new = [change.path for change in changes if change.after == LINK]
    links = links_of(scratch, tree) if new else {}
    for path in new:
        if leads_out(path, links):
            told = f"{line(path, 200)} -> {line(links[path], 200)}"
            raise Unlanded(f"the patch makes a symlink that leads out of the tree: {told}")


def _check_ignored(top: Path, changes: Sequence[Changed]) -> None:
    """Refuse new files that the user's rules leave out: nobody would see them in a diff."""
    if found := ignored(top, [change.path for change in changes if change.kind == "added"]):
        raise Unlanded(
            f"the patch adds what your ignore rules leave out: {_listed(found)}; if you want it, take the "
            "rule away first"
        )


def _check_clean(top: Path, changes: Sequence[Changed]) -> None:
    """Refuse where a file of the patch has changes that are not committed."""
    if not changes:
        return
    env = {"GIT_LITERAL_PATHSPECS": "1"}
    status = ("--no-optional-locks", "status", "--porcelain", "-z", "--no-renames", "--ignored")
    dirty: set[str] = set()
    for paths in _batches([change.path for change in changes]):
        entries = git(*status, "--untracked-files=all", "--", *paths, cwd=top, env=env).split(b"\0")
        dirty |= {os.fsdecode(entry[3:]) for entry in entries if entry}
        tags = git("ls-files", "-v", "-z", "--", *paths, cwd=top, env=env).split(b"\0")
        dirty |= {os.fsdecode(tag[2:]) for tag in tags if tag and (tag[:1].islower() or tag[:1] == b"S")}
    there = (c.path for c in changes if c.kind == "added" and os.path.lexists(top / c.path))
    if found := sorted({*dirty, *there}):
        raise Unlanded(
            f"{_listed(found)} {'has' if len(found) == 1 else 'have'} changes that are not committed: commit "
            "or stash them first; nothing was changed"
        )


def _check_filters(top: Path, changes: Sequence[Changed]) -> None:
    """Refuse files that a filter of git's, such as that of LFS, would have to write."""
    if not changes:
        return
    named = "\0".join(change.path for change in changes).encode("utf-8", "surrogateescape")
    words = git("check-attr", "-z", "--stdin", "filter", cwd=top, stdin=named).split(b"\0")
    values = zip(words[0::3], words[2::3], strict=False)
    if found := [os.fsdecode(path) for path, value in values if value not in (b"unspecified", b"unset")]:
        raise Unlanded(f"{_listed(found)}: a git filter writes this, which is not run on what an agent made")


def _content(top: Path, scratch: Scratch, change: Changed) -> bytes:
    """Return what stands in the working tree: line ends as git writes them there, and no filter."""
    if change.after == LINK:
        return scratch.git("cat-file", "blob", change.blob)
    env = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": str(scratch.folder / "objects")}
    return git("cat-file", "--filters", f"--path={change.path}", change.blob, cwd=top, env=env)


def _put(change: Changed, contents: Mapping[str, bytes]) -> Put:
    extra = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH if change.after == "100755" else 0
    mode = (0o666 | extra) & ~_umask()
    return Put(change.path, contents.get(change.path), mode, link=change.after == LINK)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _batches(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield so many at a time as a command line holds."""
    for start in range(0, len(paths), 500):
        yield paths[start : start + 500]


def _listed(paths: Sequence[str]) -> str:
    shown = ", ".join(line(path, 100) for path in paths[:SHOWN])
    return shown + (f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else "")
