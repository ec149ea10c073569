"""The clone of an attempt: clean, apart from its siblings, removed afterwards; and the patch it leaves."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from tts.errors import UsageError
from tts.types import Task
from tts.workspaces.git import GitWorkspaces

CLEAN = {
    **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b",
}


def run_git(*args: str, cwd: Path, data: str | None = None) -> str:
    done = subprocess.run(
        ["git", *args], cwd=cwd, env=CLEAN, check=True, capture_output=True, text=True, input=data
    )
    return done.stdout.strip()


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """A repository with a base commit, one before and one after it, a branch, tag, stash, hook, setting."""
    place = tmp_path / "source"
    place.mkdir()
    run_git("init", "-q", "-b", "trunk", cwd=place)
    (place / "old.txt").write_text("old\n")
    run_git("add", ".", cwd=place)
    run_git("commit", "-qm", "before", cwd=place)
    (place / "pkg").mkdir()
    (place / "pkg" / "code.py").write_text("a = 1\nb = 2\nc = 3\n")
    (place / "run.sh").write_text("#!/bin/sh\n")
    (place / "image.bin").write_bytes(bytes(range(256)))
    (place / ".gitignore").write_text("*.log\n")
    run_git("add", ".", cwd=place)
    run_git("commit", "-qm", "base", cwd=place)
    base = run_git("rev-parse", "HEAD", cwd=place)
    (place / "fix.txt").write_text("the later fix\n")
    run_git("add", ".", cwd=place)
    run_git("commit", "-qm", "fix", cwd=place)
    run_git("tag", "v1", cwd=place)
    run_git("branch", "other", cwd=place)
    (place / "old.txt").write_text("stashed\n")
    run_git("stash", cwd=place)
    hook = place / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch hooked\n")
    hook.chmod(0o755)
    run_git("config", "user.secret", "yes", cwd=place)
    return Task("t", "fix it", str(place), base)


def kinds(root: Path) -> list[str]:
    """What lies in a folder of workspaces, by the first word of its name."""
    names = (path.name.split("-")[0] for path in root.iterdir()) if root.exists() else ()
    return sorted(name for name in names if name != ".owners")


def patch_after(task: Task, root: Path, act: Callable[[Path], object]) -> str:
    async def main() -> str:
        async with GitWorkspaces(root).open(task) as workspace:
            act(workspace.path)
            return await workspace.diff()

    return anyio.run(main)


def applied(task: Task, root: Path, patch: str) -> Path:
    """A checkout of the base with the patch applied by plain git."""
    place = root / "check"
    run_git("clone", "-q", task.repo, str(place), cwd=root)
    run_git("checkout", "-q", task.base_commit, cwd=place)
    if patch:
        run_git("apply", "--index", "-", cwd=place, data=patch)
    return place


def test_the_clone_holds_the_base_and_nothing_after_it(task: Task, tmp_path: Path) -> None:
    async def main() -> None:
        async with GitWorkspaces(tmp_path / "w").open(task) as workspace:
            place = workspace.path
            assert (place / "pkg" / "code.py").read_text() == "a = 1\nb = 2\nc = 3\n"
            assert not (place / "hooked").exists()
            assert run_git("status", "--porcelain", cwd=place) == ""
            assert run_git("log", "--all", "--format=%s", cwd=place).split() == ["base", "before"]
            assert run_git("for-each-ref", "--format=%(refname)", cwd=place) == "refs/heads/main"
            assert run_git("fsck", "--unreachable", "--no-reflogs", "--full", cwd=place) == ""
            objects = run_git("cat-file", "--batch-all-objects", "--batch-check", cwd=place)
            later = run_git("rev-parse", "v1", "v1:fix.txt", cwd=Path(task.repo)).split()
            assert not any(name in objects for name in later)
            assert "secret" not in run_git("config", "--list", "--local", cwd=place)
            assert run_git("remote", cwd=place) == ""
            assert not list(place.glob(".git/hooks/*"))
            assert str(task.repo) not in "".join(
                p.read_text() for p in place.glob(".git/[A-Zc]*") if p.is_file()
            )

    anyio.run(main)


def test_siblings_share_nothing(task: Task, tmp_path: Path) -> None:
    async def main() -> None:
        workspaces = GitWorkspaces(tmp_path / "w")
        async with workspaces.open(task) as one, workspaces.open(task) as two:
            (one.path / "old.txt").write_text("one\n")
            run_git("stash", cwd=one.path)
            run_git("branch", "mine", cwd=one.path)
            run_git("config", "user.name", "one", cwd=one.path)
            (one.path / "secret.txt").write_text("one\n")
            run_git("add", "secret.txt", cwd=one.path)
            for path in one.path.rglob("*"):
                if path.is_file() and ".git" in path.parts:
                    path.chmod(0o644)
                    path.write_bytes(b"broken")
            assert run_git("for-each-ref", "--format=%(refname)", cwd=two.path) == "refs/heads/main"
            assert run_git("status", "--porcelain", cwd=two.path) == ""
            assert run_git("fsck", cwd=two.path) == ""
            assert await two.diff() == ""
        async with workspaces.open(task) as three:
            assert run_git("fsck", cwd=three.path) == ""

    anyio.run(main)


def test_the_patch_is_the_whole_difference(task: Task, tmp_path: Path) -> None:
    def act(place: Path) -> None:
        (place / "pkg" / "code.py").write_text("a = 1\nb = 20\nc = 3\n")
        (place / "new.txt").write_text("no newline at the end")
        (place / "old.txt").unlink()
        (place / "image.bin").write_bytes(bytes(reversed(range(256))))
        (place / "run.sh").chmod(0o755)
        (place / "link").symlink_to("pkg/code.py")
        (place / "name with ü space.txt").write_text("x\n")
        (place / "empty").write_text("")

    place = applied(task, tmp_path, patch_after(task, tmp_path / "w", act))
    assert (place / "pkg" / "code.py").read_text() == "a = 1\nb = 20\nc = 3\n"
    assert (place / "new.txt").read_text() == "no newline at the end"
    assert not (place / "old.txt").exists()
    assert (place / "image.bin").read_bytes() == bytes(reversed(range(256)))
    assert os.access(place / "run.sh", os.X_OK)
    assert os.readlink(place / "link") == "pkg/code.py"
    assert (place / "name with ü space.txt").exists()
    assert (place / "empty").exists()


def test_renamed_files_and_own_commits_are_in_the_patch(task: Task, tmp_path: Path) -> None:
    def act(place: Path) -> None:
        run_git("mv", "pkg/code.py", "pkg/moved.py", cwd=place)
        run_git("commit", "-qm", "mine", cwd=place)
        run_git("checkout", "-q", "--orphan", "elsewhere", cwd=place)
        run_git("commit", "-qm", "an unrelated history", cwd=place)
        (place / "pkg" / "more.py").write_text("d = 4\n")
        run_git("add", ".", cwd=place)

    place = applied(task, tmp_path, patch_after(task, tmp_path / "w", act))
    assert sorted(path.name for path in (place / "pkg").iterdir()) == ["more.py", "moved.py"]


def lose_git(place: Path) -> None:
    for path in sorted((place / ".git").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (place / ".git").rmdir()


def break_settings(place: Path) -> None:
    run_git("config", "diff.external", "false", cwd=place)
    run_git("config", "diff.noprefix", "true", cwd=place)
    run_git("config", "filter.x.clean", "cat /dev/null", cwd=place)
    (place / ".git" / "info" / "attributes").write_text("* filter=x -diff\n")
    (place / ".git" / "info" / "exclude").write_text("*\n")


def hide_change(place: Path) -> None:
    run_git("update-index", "--assume-unchanged", "pkg/code.py", cwd=place)


@pytest.mark.parametrize("harm", [lose_git, break_settings, hide_change])
def test_the_patch_does_not_depend_on_the_clones_git(
    task: Task, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    def act(place: Path) -> None:
        harm(place)
        (place / "pkg" / "code.py").write_text("a = 1\nb = 9\nc = 3\n")

    patch = patch_after(task, tmp_path / "w", act)
    assert "-b = 2\n+b = 9\n" in patch
    assert (applied(task, tmp_path, patch) / "pkg" / "code.py").read_text() == "a = 1\nb = 9\nc = 3\n"


def test_ignored_files_and_what_python_leaves_stay_out(task: Task, tmp_path: Path) -> None:
    def act(place: Path) -> None:
        (place / "debug.log").write_text("x\n")
        (place / "pkg" / "__pycache__").mkdir()
        (place / "pkg" / "__pycache__" / "code.cpython-311.pyc").write_bytes(b"x")

    assert patch_after(task, tmp_path / "w", act) == ""


@pytest.mark.parametrize("with_commit", [False, True])
def test_a_repository_made_inside_is_left_out(task: Task, tmp_path: Path, with_commit: bool) -> None:
    def act(place: Path) -> None:
        (place / "inner").mkdir()
        run_git("init", "-q", cwd=place / "inner")
        (place / "inner" / "file.txt").write_text("x\n")
        if with_commit:
            run_git("add", ".", cwd=place / "inner")
            run_git("commit", "-qm", "x", cwd=place / "inner")
        (place / "outer.txt").write_text("y\n")

    patch = patch_after(task, tmp_path / "w", act)
    assert "outer.txt" in patch
    assert "inner" not in patch


def test_settings_of_the_user_have_no_say(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "gitconfig"
    settings.write_text(
        "[core]\n\tautocrlf = true\n\tattributesFile = /nope\n"
        "[diff]\n\tnoprefix = true\n[init]\n\ttemplateDir = /nope\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    patch = patch_after(task, tmp_path / "w", lambda place: (place / "old.txt").write_text("o\n"))
    assert "--- a/old.txt\n+++ b/old.txt\n" in patch
    assert "\r" not in patch


def test_the_clone_is_removed_after_success_failure_and_cancellation(task: Task, tmp_path: Path) -> None:
    root = tmp_path / "w"

    async def fail(workspaces: GitWorkspaces) -> None:
        async with workspaces.open(task):
            raise RuntimeError("of the agent")

    async def hang(workspaces: GitWorkspaces, inside: anyio.Event) -> None:
        async with workspaces.open(task):
            inside.set()
            await anyio.sleep_forever()

    async def main() -> None:
        workspaces = GitWorkspaces(root)
        async with workspaces.open(task) as workspace:
            (workspace.path / "pkg").chmod(0o500)
        with pytest.raises(RuntimeError):
            await fail(workspaces)
        inside = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(hang, workspaces, inside)
            await inside.wait()
            group.cancel_scope.cancel()

    anyio.run(main)
    assert kinds(root) == ["template"]


def test_many_at_once_make_one_template(task: Task, tmp_path: Path) -> None:
    async def touch(workspaces: GitWorkspaces, patches: list[str]) -> None:
        async with workspaces.open(task) as workspace:
            patches.append(await workspace.diff())

    async def main() -> None:
        one, two, patches = GitWorkspaces(tmp_path / "w"), GitWorkspaces(tmp_path / "w"), list[str]()
        async with anyio.create_task_group() as group:
            for workspaces in (one, two) * 4:
                group.start_soon(touch, workspaces, patches)
        assert patches == [""] * 8

    anyio.run(main)
    assert kinds(tmp_path / "w") == ["template"]


@pytest.mark.parametrize(("repo", "commit"), [("", ""), ("nowhere", "0" * 40), (None, "f" * 40)])
def test_what_cannot_be_cloned_is_said_in_one_line(
    task: Task, tmp_path: Path, repo: str | None, commit: str
) -> None:
    async def main() -> None:
        bad = Task("bad", "p", task.repo if repo is None else repo, commit)
        async with GitWorkspaces(tmp_path / "w").open(bad):
            pass

    with pytest.raises(UsageError, match="task bad") as caught:
        anyio.run(main)
    assert "\n" not in str(caught.value)
    assert kinds(tmp_path / "w") == []


def test_a_missing_git_is_said(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="install git"):
        patch_after(task, tmp_path / "w", lambda _: None)


@pytest.mark.parametrize(
    ("repo", "commit"),
    [
        ("--upload-pack=touch {mark};git-upload-pack", "{source}"),
        ("{source}", "--upload-pack=touch {mark}"),
        ("{source}", "HEAD"),
        ("ext::sh -c touch% {mark}", "a" * 40),
    ],
)
def test_a_task_s_place_is_no_option_and_no_command(repo: str, commit: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    fields = {"mark": mark, "source": tmp_path / "source"}
    task = Task("t", "x", repo.format(**fields), commit.format(**fields))

    async def main() -> None:
        async with GitWorkspaces(tmp_path / "root").open(task):
            pass

    with pytest.raises(UsageError):
        anyio.run(main)
    assert not mark.exists()
