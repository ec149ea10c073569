"""The difference between a tree that nobody vouches for and the commit that it began from, as a patch.

The tree's own `.git` is not asked. A scratch repository is, which reads the template's objects and holds our
attributes above all others, so neither commits, settings, filters nor attributes of an attempt have a say.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from anyio import to_thread

from tts.errors import Infra, LimitReached
from tts.workspaces.limits import check_binary
from tts.workspaces.removal import remove
from tts.workspaces.running import git
from tts.workspaces.template import EXACT, JUNK, Template

FORM = ("--binary", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color")
"""How a patch is written: whole hashes, so that it can be checked, and every byte."""

START = b"diff --git "

RULES = (".gitignore", ".gitattributes")
"""Files that git reads whole before any other."""


MOST_LEFT_OUT = 1_000
"""So many places may be left out: git looks through all of them for each file."""


@dataclass(frozen=True, slots=True)
class Scratch:
    """A repository of its own over a template's objects, with an index at the base commit."""

    folder: Path
    tree: Path

    async def git(self, *args: str, stdin: bytes = b"") -> bytes:
        """Return what git prints of the tree, by this repository.

        Raises:
            LimitReached: it took too much memory or time.
            Infra: git failed.
        """
        env = {"GIT_DIR": str(self.folder), "GIT_WORK_TREE": str(self.tree)}
        no_hooks = ("-c", f"core.hooksPath={os.devnull}")
        return await git(*no_hooks, *args, cwd=self.tree, env=env, stdin=stdin, hostile=True)

    def attribute(self, more: str = "") -> None:
        """Set the attributes of all files."""
        (self.folder / "info" / "attributes").write_text(EXACT + more)


@asynccontextmanager
async def scratch_of(template: Template, tree: Path) -> AsyncGenerator[Scratch]:
    """Yield a scratch repository for a tree; it lies beside it while it is open.

    A tree that is no folder any more, or a link to one, is read as an empty folder.
    """
    folder = Path(tempfile.mkdtemp(prefix="diff-", dir=tree.parent))
    try:
        await to_thread.run_sync(_lay_out, folder, template)
        yield Scratch(folder, tree if _is_folder(tree) else folder / "empty")
    finally:
        await to_thread.run_sync(remove, folder)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _lay_out(folder: Path, template: Template) -> None:
    for name in ("objects/info", "refs", "info", "empty"):
        (folder / name).mkdir(parents=True)
    version, form = (1, "[extensions]\n\tobjectFormat = sha256\n") if len(template.commit) == 64 else (0, "")
    settings = (
        f"\trepositoryFormatVersion = {version}\n\tfileMode = true\n\tsymlinks = true\n\tquotePath = true\n"
    )
    (folder / "config").write_text(f"[core]\n{settings}{form}")
    (folder / "HEAD").write_text(f"{template.commit}\n")
    (folder / "objects" / "info" / "alternates").write_text(f"{template.objects}\n")
    (folder / "info" / "exclude").write_text(JUNK)
    (folder / "info" / "attributes").write_text(EXACT)
    (folder / "index").write_bytes(template.index.read_bytes())
    shallow = template.tree / ".git" / "shallow"
    if shallow.exists():
        (folder / "shallow").write_bytes(shallow.read_bytes())


async def patch_of(template: Template, tree: Path, most_bytes: int) -> str:
    """Return the git patch from the template's commit to the tree as it is now; "" where nothing differs.

    Always text in UTF-8: a file whose changed lines are not comes as a binary patch. Ignored files and build
    junk are left out, repositories made inside where the commit has no file, and what no patch can hold:
    pipes, sockets, devices, links to names that are not UTF-8, and places whose name git reserves. A tree
    that is gone, or a link now, has lost all its files.

    Raises:
        LimitReached: what changed, or the patch, is larger than `most_bytes`; or no text can hold it; or git
            takes too much memory or time over it.
        Infra: git could not read the files.
    """
    async with scratch_of(template, tree) as scratch:
        sizes = await _sizes(scratch)
        left_out = await to_thread.run_sync(cleared, scratch.tree, _folders(sizes), most_bytes)
        await _check_sizes(scratch, sizes, most_bytes)
        paths = [b".", *(b":(exclude,literal)" + os.fsencode(path) for path in left_out)]
        given = ("--pathspec-from-file=-", "--pathspec-file-nul")
        await scratch.git("add", "--all", *given, stdin=b"\0".join(paths))
        patch = await _text(scratch)
    if len(patch) > most_bytes:
        raise LimitReached(_too_large("the patch is", len(patch), most_bytes))
    if not _is_text(patch):
        raise LimitReached("a link to a name that is not UTF-8 was removed, which no patch of text can hold")
    return patch.decode()


def _too_large(what: str, size: int, most: int) -> str:
    return f"{what} {size:,} bytes, more than the {most:,} that a patch may have"


async def _sizes(scratch: Scratch) -> dict[bytes, int]:
    """Return the commit's files with their sizes in bytes; submodules are none."""
    listed = await scratch.git("ls-tree", "-r", "-l", "-z", "HEAD")
    rows = (row.partition(b"\t") for row in listed.split(b"\0")[:-1])
    return {name: int(head.split()[-1]) for head, _, name in rows if not head.endswith(b"-")}


def _folders(names: Iterable[bytes]) -> frozenset[str]:
    """Return the folders that hold files, however deep below."""
    found: set[bytes] = set()
    for name in names:
        while (name := name.rpartition(b"/")[0]) and name not in found:
            found.add(name)
    return frozenset(map(os.fsdecode, found))


async def _check_sizes(scratch: Scratch, sizes: Mapping[bytes, int], most_bytes: int) -> None:
    """Look at sizes before contents are read: a file of a gigabyte takes no time."""
    told = await scratch.git("ls-files", "--others", "--exclude-standard", "-z")
    grown = sum(_size(scratch.tree, name) for name in told.split(b"\0") if name)
    grown += sum(max(0, _size(scratch.tree, name) - old) for name, old in sizes.items())
    if grown > most_bytes:
        raise LimitReached(_too_large("files grew by", grown, most_bytes))


def _size(tree: Path, name: bytes) -> int:
    try:
        found = os.lstat(os.path.join(os.fsencode(tree), name))
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


async def _text(scratch: Scratch) -> bytes:
    """Return the patch of the index; files that are not UTF-8 text are written as binary ones."""
    patch = await scratch.git("diff", "--cached", *FORM, "HEAD")
    if _is_text(patch):
        return patch
    await to_thread.run_sync(scratch.attribute, "* -diff\n")
    binary = await scratch.git("diff", "--cached", *FORM, "HEAD")
    pairs = zip(_sections(patch), _sections(binary), strict=True)
    return b"".join(text if _is_text(text) else safe for text, safe in pairs)


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


def _sections(patch: bytes) -> Iterator[bytes]:
    """Yield the part of each file: no other line of a patch begins as a file's first one does."""
    for part in (b"\n" + patch).removesuffix(b"\n").split(b"\n" + START)[1:]:
        yield START + part + b"\n"


@dataclass(slots=True)
class Clearing:
    """What a walk over an attempt's tree removes and leaves out, so that git can read the rest.

    `kept` are the folders that hold files of the commit: a repository made there hides none of them.
    """

    tree: str
    kept: frozenset[str]
    most_bytes: int
    left_out: list[str] = field(default_factory=list[str])

    def walk(self) -> list[str]:
        """Return the paths to leave out; no link is followed, and no depth is too much."""
        waiting = [self.tree]
        while waiting:
            waiting += self._folder(waiting.pop())
        return self.left_out

    def _folder(self, place: str) -> list[str]:
        try:
            _allow(place, stat.S_IRWXU)
            with os.scandir(place) as entries:
                several = list(entries)
        except OSError as problem:
            if problem.errno != errno.ENAMETOOLONG:
                raise
            self._leave(place)  # deeper than a path can say
            return []
        inner: list[str] = []
        if self._is_other(place, several):
            self._leave(place)
            return []
        for entry in several:
            if _is_reserved(entry.name):
                self._leave(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                inner.append(entry.path)
            else:
                self._file(entry)
        return inner

    def _is_other(self, place: str, entries: Iterable[os.DirEntry[str]]) -> bool:
        """Whether a folder is a repository of its own, and none of the commit's."""
        if place == self.tree or os.path.relpath(place, self.tree) in self.kept:
            return False
        return any(
            entry.name == ".git"
            and (entry.is_file(follow_symlinks=False) or os.path.lexists(os.path.join(entry.path, "HEAD")))
            for entry in entries
        )

    def _file(self, entry: os.DirEntry[str]) -> None:
        if entry.is_symlink():
            linked = os.fsencode(os.readlink(entry.path))
            if not _is_text(linked) or _is_reserved(entry.name, ".gitmodules"):
                self._leave(entry.path)
        elif entry.is_file(follow_symlinks=False):
            self._regular(entry)
        else:
            os.unlink(entry.path)  # a pipe, a socket, a device: git would stop at it

    def _regular(self, entry: os.DirEntry[str]) -> None:
        about = entry.stat(follow_symlinks=False)
        if entry.name in RULES and about.st_size > self.most_bytes:
            raise LimitReached(_too_large(f"a file {entry.name} has", about.st_size, self.most_bytes))
        if about.st_nlink == 1:
            _allow(entry.path, stat.S_IRUSR)
        elif not os.access(entry.path, os.R_OK):
            self._leave(entry.path)  # its rights may be another's, outside the tree

    def _leave(self, path: str) -> None:
        if len(self.left_out) == MOST_LEFT_OUT:
            raise LimitReached(
                f"more than {MOST_LEFT_OUT:,} places that no patch can hold, such as repositories inside"
            )
        self.left_out.append(os.path.relpath(path, self.tree))


def _is_reserved(name: str, *more: str) -> bool:
    """Whether git takes no path of this name, since some file system reads it as `.git` (or as one more)."""
    return name.partition(":")[0].rstrip(". ").lower() in (".git", "git~1", *more)


def _allow(path: str, rights: int) -> None:
    mode = os.lstat(path).st_mode
    if mode & rights != rights:
        os.chmod(path, stat.S_IMODE(mode) | rights)


def cleared(tree: Path, kept: frozenset[str], most_bytes: int) -> list[str]:
    """Make a tree readable for git, and return the paths that are to be left out of its patch.

    Raises:
        LimitReached: a file that git would read whole is larger than `most_bytes`.
        Infra: it cannot be read.
    """
    try:
        return Clearing(str(tree), kept, most_bytes).walk()
    except OSError as problem:
        raise Infra(f"cannot read an attempt's files: {problem}") from problem


async def applies(template: Template, tree: Path, patch: str) -> bool:
    """Return whether a patch applies to the template's commit; the tree is not touched."""
    async with scratch_of(template, tree) as scratch:
        try:
            data = patch.encode("utf-8", "surrogateescape")
            check_binary(data)
            await scratch.git("apply", "--cached", "--check", "-", stdin=data)
        except (Infra, LimitReached, UnicodeEncodeError):
            return False
    return True
