"""The difference between a tree that nobody vouches for and the commit that it began from, as a patch.

The tree's own `.git` is not asked. A scratch repository is, which reads the template's objects and holds our
attributes above all others, so neither commits, settings, filters nor attributes of an attempt have a say.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from anyio import to_thread

from tts.errors import Infra, LimitReached
from tts.workspaces.roots import remove
from tts.workspaces.running import git
from tts.workspaces.template import EXACT, JUNK, Template

FORM = ("--binary", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color")
"""How a patch is written: whole hashes, so that it can be checked, and every byte."""

START = b"diff --git "


@dataclass(frozen=True, slots=True)
class Scratch:
    """A repository of its own over a template's objects, with an index at the base commit."""

    folder: Path
    tree: Path

    async def git(self, *args: str, stdin: bytes = b"") -> bytes:
        """Return what git prints of the tree, by this repository.

        Raises:
            Infra: git failed.
        """
        env = {"GIT_DIR": str(self.folder), "GIT_WORK_TREE": str(self.tree)}
        return await git("-c", f"core.hooksPath={os.devnull}", *args, cwd=self.tree, env=env, stdin=stdin)

    def attribute(self, more: str = "") -> None:
        """Set the attributes of all files."""
        (self.folder / "info" / "attributes").write_text(EXACT + more)


@asynccontextmanager
async def scratch_of(template: Template, tree: Path) -> AsyncGenerator[Scratch]:
    """Yield a scratch repository for a tree; it lies beside it while it is open."""
    folder = Path(tempfile.mkdtemp(prefix="diff-", dir=tree.parent))
    try:
        await to_thread.run_sync(_lay_out, folder, template)
        yield Scratch(folder, tree)
    finally:
        await to_thread.run_sync(remove, folder)


def _lay_out(folder: Path, template: Template) -> None:
    for name in ("objects/info", "refs", "info"):
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

    Always text in UTF-8: a file whose old or new content is not comes as a binary patch. Ignored files, build
    junk and repositories made inside are left out, and so is what no patch can hold: pipes, sockets, devices,
    links to names that are not UTF-8, and places whose name git reserves.

    Raises:
        LimitReached: what changed, or the patch, is larger than `most_bytes`.
        Infra: git could not read the files.
    """
    left_out = await to_thread.run_sync(cleared, tree)
    async with scratch_of(template, tree) as scratch:
        await _check_sizes(scratch, left_out, most_bytes)
        paths = [b".", *(b":(exclude,literal)" + os.fsencode(path) for path in left_out)]
        given = ("--pathspec-from-file=-", "--pathspec-file-nul")
        await scratch.git("add", "--all", *given, stdin=b"\0".join(paths))
        patch = await _text(scratch)
    if len(patch) > most_bytes:
        raise LimitReached(_too_large("the patch is", len(patch), most_bytes))
    return patch.decode()


def _too_large(what: str, size: int, most: int) -> str:
    return f"{what} {size:,} bytes, more than the {most:,} that a patch may have"


async def _check_sizes(scratch: Scratch, left_out: list[str], most_bytes: int) -> None:
    """Look at sizes before contents are read: a file of a gigabyte takes no time."""
    told = await scratch.git("ls-files", "--others", "--exclude-standard", "-z")
    listed = await scratch.git("ls-tree", "-r", "-l", "-z", "HEAD")
    grown = sum(_size(scratch.tree, name) for name in told.split(b"\0") if name)
    for entry in listed.split(b"\0")[:-1]:
        head, _, name = entry.partition(b"\t")
        old = head.split()[-1]
        if old != b"-":
            grown += max(0, _size(scratch.tree, name) - int(old))
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
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _sections(patch: bytes) -> Iterator[bytes]:
    """Yield the part of each file: no other line of a patch begins as a file's first one does."""
    for part in (b"\n" + patch).removesuffix(b"\n").split(b"\n" + START)[1:]:
        yield START + part + b"\n"


@dataclass(slots=True)
class Clearing:
    """What a walk over an attempt's tree removes and leaves out, so that git can read the rest."""

    tree: str
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
        if place != self.tree and any(entry.name.lower() == ".git" for entry in several):
            self._leave(place)
            return []
        for entry in several:
            if place == self.tree and entry.name.lower() == ".git":
                self._leave(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                inner.append(entry.path)
            else:
                self._file(entry)
        return inner

    def _file(self, entry: os.DirEntry[str]) -> None:
        if entry.is_symlink():
            if not _is_text(os.fsencode(os.readlink(entry.path))):
                self._leave(entry.path)
        elif entry.is_file(follow_symlinks=False):
            _allow(entry.path, stat.S_IRUSR)
        else:
            os.unlink(entry.path)  # a pipe, a socket, a device: git would stop at it

    def _leave(self, path: str) -> None:
        self.left_out.append(os.path.relpath(path, self.tree))


def _allow(path: str, rights: int) -> None:
    mode = os.lstat(path).st_mode
    if mode & rights != rights:
        os.chmod(path, stat.S_IMODE(mode) | rights)


def cleared(tree: Path) -> list[str]:
    """Make a tree readable for git, and return the paths that are to be left out of its patch.

    Raises:
        Infra: it cannot be read.
    """
    try:
        return Clearing(str(tree)).walk()
    except OSError as problem:
        raise Infra(f"cannot read an attempt's files: {problem}") from problem


async def applies(template: Template, tree: Path, patch: str) -> bool:
    """Return whether a patch applies to the template's commit; the tree is not touched."""
    async with scratch_of(template, tree) as scratch:
        try:
            await scratch.git(
                "apply", "--cached", "--check", "-", stdin=patch.encode("utf-8", "surrogateescape")
            )
        except (Infra, UnicodeEncodeError):
            return False
    return True
