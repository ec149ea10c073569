"""The patch of a tree that nobody vouches for: text that holds every byte, of a bounded size."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tts.errors import LimitReached
from tts.types import Task
from tts.workspaces.git import GitWorkspaces

NAMES = [
    b"a.py",
    b"b.txt",
    b"sub/c.py",
    b"sub/d",
    b"n\xff.txt",
    "ü ü.md".encode(),
    b'q"uo\te.txt',
    b"e\tf",
    b"-x",
]
CONTENTS = [
    b"",
    b"one\n",
    b"one\ntwo\nthree\n",
    b"one\r\ntwo\r\n",
    b"no end",
    b"\xff\xfe\n",
    b"a\x00b",
    "grün\u2028\x0c\x85\n".encode(),
    b"latin \xe9\nmore\n",
    b"diff --git a/x b/x\n--- a/x\n",
    b"GIT binary patch\nliteral 4\n",
    b"$Id$\n",
    b"\xef\xbb\xbfbom\n",
    b"\n\n\n",
]
Tree = dict[bytes, tuple[str, bytes]]


def trees(names: list[bytes] = NAMES) -> st.SearchStrategy[Tree]:
    kinds = st.one_of(
        st.tuples(st.sampled_from(["file", "program"]), st.sampled_from(CONTENTS)),
        st.tuples(st.just("link"), st.sampled_from([b"a.py", b"../out", b"/etc/passwd", b"sub"])),
    )
    return st.dictionaries(st.sampled_from(names), kinds, max_size=6)


def git(*args: str, cwd: Path, data: bytes | None = None) -> bytes:
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    return subprocess.run(
        ["git", *who, *args], cwd=cwd, env=env, check=True, capture_output=True, input=data
    ).stdout


def laid_out(tree: Tree, place: Path) -> None:
    for name, (kind, content) in tree.items():
        path = os.path.join(os.fsencode(place), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if kind == "link":
            os.symlink(content, path)
        else:
            Path(os.fsdecode(path)).write_bytes(content)
            os.chmod(path, 0o755 if kind == "program" else 0o644)


def emptied(place: Path) -> None:
    for path in place.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def seen(place: Path) -> Tree:
    found: Tree = {}
    top = os.fsencode(place)
    for folder, folders, files in os.walk(top):
        if folder == top:
            folders.remove(b".git")
        for name in [*files, *(n for n in folders if os.path.islink(os.path.join(folder, n)))]:
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            kind = "link" if stat.S_ISLNK(mode) else "program" if mode & stat.S_IXUSR else "file"
            content = os.readlink(path) if kind == "link" else Path(os.fsdecode(path)).read_bytes()
            found[os.path.relpath(path, top)] = (kind, content)
    return found


def source_of(tree: Tree, place: Path) -> Task:
    place.mkdir()
    git("init", "-q", cwd=place)
    laid_out({b"keep": ("file", b"k\n"), **tree}, place)
    (place / ".git" / "info").mkdir(exist_ok=True)
    (place / ".git" / "info" / "attributes").write_text("* -text -ident -filter\n")
    git("add", "--all", cwd=place)
    git("commit", "-qm", "base", cwd=place)
    return Task("t", "p", str(place), git("rev-parse", "HEAD", cwd=place).decode().strip())


def patch_after(task: Task, root: Path, act: Callable[[Path], object], **how: int) -> str:
    async def main() -> str:
        async with GitWorkspaces(root, **how).open(task) as workspace:  # type: ignore[arg-type]
            act(workspace.path)
            return await workspace.diff()

    return anyio.run(main)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=trees(), after=trees([*NAMES, b"sub", b".gitattributes"]))
def test_applied_to_the_base_the_patch_gives_the_attempts_tree(before: Tree, after: Tree) -> None:
    if b"sub" in after:
        after = {name: what for name, what in after.items() if not name.startswith(b"sub/")}
    if b".gitattributes" in after:
        after[b".gitattributes"] = ("file", b"* text eol=crlf ident diff=x filter=x\n*.py -diff\n")
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        task = source_of(before, top / "source")

        def act(place: Path) -> None:
            emptied(place)
            laid_out({b"keep": ("file", b"k\n"), **after}, place)

        patch = patch_after(task, top / "w", act)
        patch.encode("utf-8")
        check = Path(task.repo)
        if patch:
            git("apply", "--binary", "--index", "--whitespace=nowarn", "-", cwd=check, data=patch.encode())
        assert seen(check) == {b"keep": ("file", b"k\n"), **after}


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return source_of({b"code.py": ("file", b"a = 1\n"), b"data": ("file", b"x" * 3000)}, tmp_path / "source")


def test_text_stays_readable_beside_bytes_that_are_none(task: Task, tmp_path: Path) -> None:
    def act(place: Path) -> None:
        (place / "code.py").write_text("a = 2\n")
        (place / "latin.txt").write_bytes(b"caf\xe9\n")

    patch = patch_after(task, tmp_path / "w", act)
    assert "-a = 1\n+a = 2\n" in patch
    assert patch.count("GIT binary patch") == 1


def test_the_repository_s_own_attributes_change_no_byte(tmp_path: Path) -> None:
    tree: Tree = {
        b".gitattributes": ("file", b"*.bat text eol=crlf\n*.py ident\n*.dat filter=lfs\n"),
        b"run.bat": ("file", b"echo\nexit\n"),
        b"id.py": ("file", b"# $Id$\n"),
        b"big.dat": ("file", b"pointer\n"),
    }
    task = source_of(tree, tmp_path / "source")

    def act(place: Path) -> None:
        assert seen(place) == {b"keep": ("file", b"k\n"), **tree}
        assert git("status", "--porcelain", cwd=place) == b""

    assert patch_after(task, tmp_path / "w", act) == ""


@pytest.mark.parametrize(
    "act",
    [
        lambda place: (place / "huge").touch() or os.truncate(place / "huge", 1 << 40),
        lambda place: [(place / f"f{i}").write_bytes(b"x" * 600) for i in range(3)],
        lambda place: (place / "code.py").write_bytes(b"y" * 2000),
        lambda place: (place / "data").write_bytes(b"y" * 3000),  # no larger, and another content
    ],
)
def test_what_is_too_large_is_a_limit_with_a_reason(
    act: Callable[[Path], object], task: Task, tmp_path: Path
) -> None:
    with pytest.raises(LimitReached, match=r"bytes, more than the 1,500 that a patch may have"):
        patch_after(task, tmp_path / "w", act, max_patch_bytes=1500)


def test_ignored_files_and_junk_of_any_size_stay_out(task: Task, tmp_path: Path) -> None:
    def act(place: Path) -> None:
        (place / ".gitignore").write_text("*.log\n")
        for name in ("x.log", "pkg.egg-info/PKG-INFO", "__pycache__/a.pyc", ".pytest_cache/v/x"):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(b"x" * 5000)

    patch = patch_after(task, tmp_path / "w", act, max_patch_bytes=1500)
    assert patch.count("diff --git") == 1
    assert "+*.log" in patch


def test_what_no_patch_can_hold_harms_nothing(task: Task, tmp_path: Path) -> None:
    def act(place: Path) -> None:
        (place / "code.py").unlink()
        os.mkfifo(place / "code.py")
        (place / ".GIT").mkdir()
        (place / ".GIT" / "config").write_text("x")
        os.symlink(b"\xff", os.path.join(os.fsencode(place), b"link"))
        (place / "closed").mkdir()
        (place / "closed" / "file.txt").write_text("in\n")
        (place / "closed" / "file.txt").chmod(0)
        (place / "closed").chmod(0)
        (place / "new.txt").write_text("n\n")

    patch = patch_after(task, tmp_path / "w", act)
    assert sorted(line for line in patch.splitlines() if line.startswith("diff --git")) == [
        "diff --git a/closed/file.txt b/closed/file.txt",
        "diff --git a/code.py b/code.py",
        "diff --git a/new.txt b/new.txt",
    ]
    assert "deleted file mode 100644" in patch


def test_the_templates_git_is_never_written(task: Task, tmp_path: Path) -> None:
    def files() -> dict[str, bytes]:
        (template,) = (tmp_path / "w").glob("template-*")
        return {str(p): p.read_bytes() for p in template.rglob("*") if p.is_file()}

    patch_after(task, tmp_path / "w", lambda place: None)
    before = files()

    def act(place: Path) -> None:
        (place / "code.py").write_text("a = 3\n")
        (place / "more.bin").write_bytes(b"\xff" * 100)

    assert patch_after(task, tmp_path / "w", act)
    assert files() == before


def test_whether_a_patch_applies_is_asked_of_the_base(task: Task, tmp_path: Path) -> None:
    good = patch_after(task, tmp_path / "w", lambda place: (place / "code.py").write_text("a = 2\n"))

    async def main() -> list[bool]:
        async with GitWorkspaces(tmp_path / "w").open(task) as workspace:
            (workspace.path / "code.py").write_text("other\n")
            outside = good.replace("code.py", "../code.py")
            return [
                await workspace.applies(text) for text in (good, good.replace("a = 1", "b"), "x", outside)
            ]

    assert anyio.run(main) == [True, False, False, False]
