"""The user's repository as it is read, and a scratch repository in which a hostile patch is tried out."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tts.errors import LimitReached, UsageError
from tts.hostile import line
from tts.workspaces.limits import MAPPED, check_binary, limited, passed
from tts.workspaces.roots import scratch_folder

SAFE = (
    *("-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false"),
    *("-c", "core.protectHFS=true", "-c", "core.protectNTFS=true", "-c", "core.quotePath=false"),
)


class Unlanded(UsageError):
    """The patch is not put anywhere, and nothing was changed; the message says why."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What the patch makes of one file: its path from the top, modes ("000000": none) and blobs."""

    path: str
    before: str
    after: str
    old: str
    blob: str

    @property
    def kind(self) -> str:
        """`added`, `deleted` or `changed`."""
        return "added" if not int(self.before) else "changed" if int(self.after) else "deleted"


@dataclass(frozen=True, slots=True)
class Scratch:
    """A bare repository of our own that reads the objects of the user's."""

    folder: Path
    env: Mapping[str, str]

    def git(self, *args: str, stdin: bytes = b"") -> bytes:
        """Return what git prints there.

        Raises:
            Unlanded: it failed.
        """
        return git(*args, cwd=self.folder, env=self.env, stdin=stdin)


def top_of(repo: Path) -> Path:
    """Return the top folder of the working tree that a folder lies in.

    Raises:
        UsageError: there is none.
    """
    try:
        return Path(os.fsdecode(git("rev-parse", "--show-toplevel", cwd=repo).rstrip(b"\n")))
    except UsageError as error:
        raise UsageError(f"{line(str(repo), 300)} is no working tree of a git repository: {error}") from None


def commit_of(repo: Path, name: str = "HEAD") -> str:
    """Return the full hash of the commit of a name.

    Raises:
        UsageError: there is none.
    """
    try:
        found = git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", cwd=repo)
    except UsageError:
        told = "it has no commit yet" if name == "HEAD" else f"it has no commit {line(name, 100)!r}"
        raise UsageError(f"{line(str(repo), 300)}: {told}") from None
    return found.decode().strip()


def is_program(repo: Path, commit: str, path: str) -> bool:
    """Return whether a file of a commit can be run, by its mode; a link counts, wherever it leads."""
    told = git("ls-tree", "-z", commit, "--", os.path.normpath(path), cwd=repo)
    return told.startswith((b"100755 ", b"120000 "))


def uncommitted(repo: Path) -> list[str]:
    """Return the files that differ from HEAD or that git does not know, ignored ones aside."""
    entries = git("--no-optional-locks", "status", "--porcelain", "-z", "--no-renames", cwd=repo)
    return [os.fsdecode(entry[3:]) for entry in entries.split(b"\0") if entry]


def is_ignored(repo: Path, place: Path) -> bool:
    """Return whether git leaves a folder of the working tree alone."""
    asked = ["git", *SAFE, "check-ignore", "--quiet", "--", str(place / "file")]
    return subprocess.run(asked, cwd=repo, env=_environment(), capture_output=True).returncode == 0


def ignored(repo: Path, paths: Sequence[str]) -> list[str]:
    """Return which of some places of the working tree git would leave alone, by its rules as they are."""
    asked = ["git", *SAFE, "check-ignore", "--no-index", "-z", "--stdin"]
    named = "\0".join(paths).encode("utf-8", "surrogateescape")
    done = subprocess.run(asked, cwd=repo, env=_environment(), input=named, capture_output=True)
    if done.returncode > 1:
        raise Unlanded(line(f"git check-ignore: {done.stderr.decode('utf-8', 'replace').strip()}", 300))
    return [os.fsdecode(path) for path in done.stdout.split(b"\0") if path]


def git_folder(repo: Path) -> Path:
    """Return the folder of git's own of a repository."""
    return Path(os.fsdecode(git("rev-parse", "--absolute-git-dir", cwd=repo).rstrip(b"\n")))


def without(patch: str, repo: Path, base: str, paths: Iterable[str]) -> str:
    """Return the patch less what it does to some files; "" where nothing is left.

    Raises:
        Unlanded: the patch does not fit its base.
    """
    left_out = set(paths)
    with scratch_of(repo) as scratch:
        kept = [
            c
            for c in changes_of(scratch, base, applied(scratch, patch, base, "--cached"))
            if c.path not in left_out
        ]
        rows = (f"{c.after} {c.blob}\t{c.path}\0" for c in kept)
        scratch.git("read-tree", base)
        scratch.git(
            "update-index", "-z", "--index-info", stdin="".join(rows).encode("utf-8", "surrogateescape")
        )
        tree = scratch.git("write-tree").decode().strip()
        form = ("--binary", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv")
        rest = scratch.git("diff-tree", "-r", "-p", *form, base, tree)
    return rest.decode("utf-8", "surrogateescape")


def touched(patch: str, repo: Path, base: str) -> list[Changed]:
    """Return what the patch makes of each file.

    Raises:
        Unlanded: the patch does not fit its base.
    """
    with scratch_of(repo) as scratch:
        return changes_of(scratch, base, applied(scratch, patch, base, "--cached"))


def check_whole(patch: str, repo: Path, base: str) -> None:
    """Check that the patch makes of its base what it says that it makes, by the hashes it names.

    A patch of text that is not UTF-8 may have lost bytes where it was kept.

    Raises:
        Unlanded: it does not, or does not fit.
    """
    named = {match[1].decode() for match in _INDEX.finditer(patch.encode("utf-8", "surrogateescape"))}
    for change in touched(patch, repo, base):
        whole = change.blob == change.old or any(change.blob.startswith(name) for name in named)
        if change.kind != "deleted" and not whole:
            raise Unlanded(
                f"{line(change.path, 200)} does not come out as the attempt left it: it is not UTF-8 text, "
                "and bytes of it were lost when the patch was kept"
            )


_INDEX = re.compile(rb"^index [0-9a-f]{7,64}\.\.([0-9a-f]{7,64})(?: \d+)?$", re.MULTILINE)


def put(patch: str, clone: Path) -> None:
    """Put a patch on the files of a clone of our own, by no settings but its own.

    Raises:
        Unlanded: it does not fit.
    """
    if not patch.strip():
        return
    with scratch_folder("patch") as folder:
        file = str(written(folder, patch))
        git("apply", "--whitespace=nowarn", file, cwd=clone, env={"GIT_CONFIG_GLOBAL": os.devnull})


@contextmanager
def scratch_of(repo: Path) -> Generator[Scratch]:
    """Yield a scratch repository over the objects of the user's; it is removed afterwards."""
    objects = git("rev-parse", "--path-format=absolute", "--git-path", "objects", cwd=repo)
    kind = git("rev-parse", "--show-object-format", cwd=repo).decode().strip()
    with scratch_folder("landing") as folder:
        name = str(folder)
        git("init", "--quiet", "--bare", "--template=", f"--object-format={kind}", name, cwd=folder)
        (folder / "objects" / "info").mkdir(exist_ok=True)
        (folder / "objects" / "info" / "alternates").write_bytes(objects.rstrip(b"\n") + b"\n")
        yield Scratch(folder, {"GIT_DIR": name, "GIT_INDEX_FILE": str(folder / "index")})


def applied(scratch: Scratch, patch: str, base: str, *how: str) -> str:
    """Return the tree that the patch makes of a commit."""
    file = written(scratch.folder, patch)
    scratch.git("read-tree", base)
    if patch.strip():
        try:
            scratch.git("apply", *how, "--whitespace=nowarn", str(file))
        except UsageError as error:
            raise Unlanded(f"the patch does not fit: {error}") from None
    return scratch.git("write-tree").decode().strip()


def written(folder: Path, patch: str) -> Path:
    """Return a file that holds the patch, byte by byte.

    Raises:
        Unlanded: its binary files come to too much.
    """
    file, data = folder / "patch", patch.encode("utf-8", "surrogateescape")
    try:
        check_binary(data)
    except LimitReached as limit:
        raise Unlanded(str(limit)) from None
    file.write_bytes(data)
    return file


def changes_of(scratch: Scratch, base: str, tree: str) -> list[Changed]:
    """Return what differs in a tree from a commit."""
    words = scratch.git("diff-tree", "-r", "-z", "--no-renames", "--raw", base, tree).split(b"\0")
    found: list[Changed] = []
    for head, path in zip(words[0::2], words[1::2], strict=False):
        before, after, old, blob, _ = head.decode().lstrip(":").split(" ")
        found.append(Changed(os.fsdecode(path), before, after, old, blob))
    return found


def identity(repo: Path) -> dict[str, str]:
    """Return who commits, as variables: by the user's settings, or by the variables that git has for it."""
    found: dict[str, str] = {}
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k.startswith(_NAMED)}
    for role in ("AUTHOR", "COMMITTER"):
        asked = ["git", *SAFE, "-c", "user.useConfigOnly=true", "var", f"GIT_{role}_IDENT"]
        done = subprocess.run(asked, cwd=repo, env=env, capture_output=True)
        if done.returncode:
            raise Unlanded(
                "git does not know who commits: set git config user.name and user.email, then try again"
            )
        name, _, rest = done.stdout.decode("utf-8", "replace").rpartition(" <")
        found |= {f"GIT_{role}_NAME": name, f"GIT_{role}_EMAIL": rest.partition(">")[0]}
    return found


_NAMED = ("GIT_AUTHOR_", "GIT_COMMITTER_", "GIT_CONFIG_")


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    fixed = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_ATTR_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    return {**kept, **fixed, "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}


def git(*args: str, cwd: Path, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> bytes:
    """Return what git prints; it runs under limits of memory and time.

    Raises:
        Unlanded: it failed; the message is the line that says why.
    """
    try:
        done = subprocess.run(
            [*limited(), "git", *SAFE, *MAPPED, *args],
            cwd=cwd,
            env={**_environment(), **(env or {})},
            input=stdin,
            capture_output=True,
        )
    except FileNotFoundError:
        told = f"there is no folder {line(str(cwd), 300)}" if not cwd.is_dir() else "git is not installed"
        raise Unlanded(told) from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        if limit := passed(done.returncode, "\n".join(said)):
            raise Unlanded(f"{limit} over the patch")
        errors = [text for text in said if text.startswith(("error:", "fatal:"))] or said or ["no message"]
        raise Unlanded(line(f"git: {errors[0].partition(': ')[2] or errors[0]}", 300))
    return done.stdout
