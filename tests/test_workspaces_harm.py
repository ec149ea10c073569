"""What an attempt does against the making of its patch: nothing of it is lost, and nothing else is read."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from tts.errors import Infra, LimitReached
from tts.types import Task
from tts.workspaces.git import GitWorkspaces


def git(*args: str, cwd: Path) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(["git", *who, *args], cwd=cwd, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def task(tmp_path: Path) -> Task:
    place = tmp_path / "source"
    (place / "pkg").mkdir(parents=True)
    git("init", "-q", "-b", "trunk", cwd=place)
    (place / "pkg" / "code.py").write_text("a = 1\n")
    os.symlink(b"\xff", os.path.join(os.fsencode(place), b"odd"))
    git("add", ".", cwd=place)
    git("commit", "-qm", "base", cwd=place)
    return Task("t", "p", str(place), git("rev-parse", "HEAD", cwd=place))


def patch_after(task: Task, root: Path, act: Callable[[Path], object]) -> str:
    async def main() -> str:
        async with GitWorkspaces(root).open(task) as workspace:
            act(workspace.path)
            return await workspace.diff()

    return anyio.run(main)


def changed(place: Path) -> None:
    (place / "pkg" / "code.py").write_text("a = 2\n")
    (place / "pkg" / "new.py").write_text("b = 1\n")


def repository_inside(place: Path) -> None:
    git("init", "-q", cwd=place / "pkg")


def empty_git_inside(place: Path) -> None:
    (place / "pkg" / ".git").mkdir()


def git_file_inside(place: Path) -> None:
    (place / "pkg" / ".git").write_text("gitdir: /nowhere\n")


def reserved_names(place: Path) -> None:
    for name in (".git ", ".git.", "git~1", ".GIT", ".git::x"):
        (place / "pkg" / name).write_text("x")
    (place / ".gitmodules").symlink_to("pkg")


@pytest.mark.parametrize("harm", [repository_inside, empty_git_inside, git_file_inside, reserved_names])
def test_nothing_in_a_folder_of_the_commit_is_hidden(
    task: Task, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    def act(place: Path) -> None:
        changed(place)
        harm(place)

    patch = patch_after(task, tmp_path / "w", act)
    assert [line for line in patch.splitlines() if line.startswith("diff --git")] == [
        "diff --git a/pkg/code.py b/pkg/code.py",
        "diff --git a/pkg/new.py b/pkg/new.py",
    ]


@pytest.mark.parametrize("link", [False, True])
def test_a_tree_that_is_gone_has_lost_its_files_and_no_other_is_read(
    task: Task, tmp_path: Path, link: bool
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret\n")
    os.mkfifo(outside / "pipe")
    (Path(task.repo) / "odd").unlink()
    git("add", "--all", cwd=Path(task.repo))
    git("commit", "-qm", "no link", cwd=Path(task.repo))
    plain = Task("t", "p", task.repo, git("rev-parse", "HEAD", cwd=Path(task.repo)))

    def act(place: Path) -> None:
        shutil.rmtree(place)
        if link:
            place.symlink_to(outside)

    patch = patch_after(plain, tmp_path / "w", act)
    assert patch.count("deleted file mode") == patch.count("diff --git") == 1
    assert "secret" not in patch
    assert (outside / "pipe").is_fifo()


def test_what_no_text_can_hold_is_a_limit(task: Task, tmp_path: Path) -> None:
    with pytest.raises(LimitReached, match="not UTF-8"):
        patch_after(task, tmp_path / "w", lambda place: (place / "odd").unlink())


def test_rules_of_a_terabyte_are_not_read(task: Task, tmp_path: Path) -> None:
    def act(place: Path) -> None:
        with (place / ".gitignore").open("wb") as file:
            file.truncate(2**40)

    with pytest.raises(LimitReached, match=r"\.gitignore has 1,099,511,627,776 bytes"):
        patch_after(task, tmp_path / "w", act)


def test_a_nul_far_down_makes_no_text(task: Task, tmp_path: Path) -> None:
    patch = patch_after(task, tmp_path / "w", lambda p: (p / "f").write_bytes(b"a\n" * 9000 + b"\0\n"))
    assert "GIT binary patch" in patch
    assert "\0" not in patch


def test_a_link_from_outside_keeps_its_rights(task: Task, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("x")
    outside.chmod(0)
    patch_after(task, tmp_path / "w", lambda place: os.link(outside, place / "hard"))
    assert outside.stat().st_mode & 0o777 == 0


def test_an_attempts_own_patch_has_the_same_limit(task: Task, tmp_path: Path) -> None:
    patch = patch_after(task, tmp_path / "w", changed)

    async def main() -> list[bool]:
        found: list[bool] = []
        for most in (len(patch), len(patch) - 1):
            async with GitWorkspaces(tmp_path / "w", max_patch_bytes=most).open(task) as workspace:
                found.append(await workspace.applies(patch))
        return found

    assert anyio.run(main) == [True, False]


def test_rules_below_the_users_home_have_no_say(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = tmp_path / "home" / ".config" / "git"
    rules.mkdir(parents=True)
    (rules / "ignore").write_text("*.py\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert "new.py" in patch_after(task, tmp_path / "w", changed)


@pytest.mark.parametrize("how", ["grafts", "replace"])
def test_what_a_source_says_of_its_history_brings_no_later_commit(
    task: Task, tmp_path: Path, how: str
) -> None:
    place = Path(task.repo)
    (place / "fix").write_text("later\n")
    git("add", ".", cwd=place)
    git("commit", "-qm", "later", cwd=place)
    later = git("rev-parse", "HEAD", cwd=place)
    if how == "grafts":
        (place / ".git" / "info").mkdir(exist_ok=True)
        (place / ".git" / "info" / "grafts").write_text(f"{task.base_commit} {later}\n")
    else:
        git("replace", task.base_commit, later, cwd=place)

    async def main() -> str:
        async with GitWorkspaces(tmp_path / "w").open(task) as workspace:
            return git("cat-file", "--batch-all-objects", "--batch-check", cwd=workspace.path)

    assert later not in anyio.run(main)


def test_a_host_is_asked_for_gits_own_command(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "asked"
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "ssh"
    program.write_text(f'#!/bin/sh\necho "$@" > {asked}\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    remote = Task("t", "p", "ssh://git@host.invalid/a/b.git", task.base_commit)
    with pytest.raises(Infra, match="cannot fetch"):  # it may be there the next time
        patch_after(remote, tmp_path / "w", lambda _: None)
    assert asked.read_text().endswith(" git-upload-pack '/a/b.git'\n")
    assert "BatchMode=yes" in asked.read_text()
