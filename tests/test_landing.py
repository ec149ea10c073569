"""A patch put on a working tree or a branch: all or nothing, and nothing that it does not name."""

import os
import subprocess
from pathlib import Path

import pytest

from tts.errors import UsageError
from tts.workspaces.landing import branch, land
from tts.workspaces.patches import Unlanded, check_whole, commit_of, is_ignored, touched, uncommitted, without

CLEAN = {
    **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b",
}


def git(*args, cwd):
    done = subprocess.run(["git", *args], cwd=cwd, env=CLEAN, check=True, capture_output=True)
    return done.stdout.decode("utf-8", "surrogateescape")


@pytest.fixture(autouse=True)
def _identity(monkeypatch):
    for name, value in CLEAN.items():
        if name.startswith("GIT_"):
            monkeypatch.setenv(name, value)


@pytest.fixture
def repo(tmp_path):
    place = tmp_path / "repo"
    (place / "pkg").mkdir(parents=True)
    git("init", "-q", "-b", "main", cwd=place)
    (place / "pkg" / "code.py").write_text("".join(f"line {i}\n" for i in range(30)))
    (place / "other.txt").write_text("other\n")
    (place / "gone" / "deep").mkdir(parents=True)
    (place / "gone" / "deep" / "file.txt").write_text("gone\n")
    (place / "run.sh").write_text("#!/bin/sh\n")
    (place / ".gitignore").write_text("*.log\nruns/\n")
    git("add", ".", cwd=place)
    git("commit", "-qm", "base", cwd=place)
    return place


def made(repo, change):
    """Return the patch of a change, made in a clone."""
    clone = repo.parent / "clone"
    git("clone", "-q", str(repo), str(clone), cwd=repo)
    change(clone)
    git("add", "-A", cwd=clone)
    patch = git("diff", "--cached", "--binary", "--full-index", "--no-renames", cwd=clone)
    subprocess.run(["rm", "-rf", str(clone)], check=True)
    return patch


def everything(clone):
    text = (clone / "pkg" / "code.py").read_text()
    (clone / "pkg" / "code.py").write_text(text.replace("line 5\n", "line five\n"))
    (clone / "new" / "deep").mkdir(parents=True)
    (clone / "new" / "deep" / "image.bin").write_bytes(bytes(range(256)))
    (clone / "latin-\udce9.txt").write_bytes(b"caf\xe9\n")
    (clone / "gone" / "deep" / "file.txt").unlink()
    (clone / "run.sh").chmod(0o755)
    (clone / "link").symlink_to("pkg/code.py")


def state(repo):
    """All files with contents and modes, git's own left out, and the index and refs."""
    files = {}
    for path in sorted(repo.rglob("*")):
        if ".git" not in path.relative_to(repo).parts and not path.is_dir():
            body = os.readlink(path) if path.is_symlink() else path.read_bytes()
            files[str(path.relative_to(repo))] = (body, path.lstat().st_mode)
    return files, (repo / ".git" / "index").read_bytes(), git("for-each-ref", cwd=repo)


def test_a_patch_lands_on_the_working_tree_and_the_index_stays(repo):
    patch = made(repo, everything)
    index, before = (repo / ".git" / "index").read_bytes(), state(repo)[0]
    changed = land(patch, repo / "pkg")
    assert sorted(changed) == [
        "gone/deep/file.txt",
        "latin-\udce9.txt",
        "link",
        "new/deep/image.bin",
        "pkg/code.py",
        "run.sh",
    ]
    assert (repo / ".git" / "index").read_bytes() == index
    after = state(repo)[0]
    assert {path for path in {*before, *after} if before.get(path) != after.get(path)} == set(changed)
    assert (repo / "new" / "deep" / "image.bin").read_bytes() == bytes(range(256))
    assert (repo / "latin-\udce9.txt").read_bytes() == b"caf\xe9\n"
    assert (repo / "run.sh").stat().st_mode & 0o111
    assert os.readlink(repo / "link") == "pkg/code.py"
    assert not (repo / "gone").exists()
    git("add", "-A", cwd=repo)
    assert git("diff", "--cached", "--binary", "--full-index", "--no-renames", cwd=repo) == patch


def test_it_is_merged_with_commits_that_came_later(repo):
    patch = made(repo, everything)
    code = repo / "pkg" / "code.py"
    code.write_text("first\n" + code.read_text())
    git("commit", "-qam", "later", cwd=repo)
    land(patch, repo)
    assert code.read_text().startswith("first\nline 0\n")
    assert "line five\n" in code.read_text()


def test_where_it_does_not_fit_nothing_is_changed(repo):
    patch = made(repo, everything)
    code = repo / "pkg" / "code.py"
    code.write_text(code.read_text().replace("line 5\n", "line V\n"))
    git("commit", "-qam", "later", cwd=repo)
    before = state(repo)
    with pytest.raises(Unlanded, match="does not fit"):
        land(patch, repo)
    assert state(repo) == before


@pytest.mark.parametrize("staged", [False, True])
def test_files_with_uncommitted_changes_are_not_touched(repo, staged):
    patch = made(repo, everything)
    (repo / "pkg" / "code.py").write_text("mine\n")
    (repo / "link").write_text("mine too\n")
    if staged:
        git("add", "pkg/code.py", cwd=repo)
    before = state(repo)
    with pytest.raises(Unlanded, match=r"link, pkg/code.py have changes that are not committed"):
        land(patch, repo)
    assert state(repo) == before


def test_other_files_may_have_uncommitted_changes(repo):
    patch = made(repo, everything)
    (repo / "other.txt").write_text("mine\n")
    assert uncommitted(repo) == ["other.txt"]
    land(patch, repo)
    assert (repo / "other.txt").read_text() == "mine\n"


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_changes_that_git_was_told_to_overlook_count(repo, flag):
    patch = made(repo, everything)
    git("update-index", flag, "pkg/code.py", cwd=repo)
    (repo / "pkg" / "code.py").write_text("mine\n")
    with pytest.raises(Unlanded, match=r"pkg/code.py has changes"):
        land(patch, repo)
    assert (repo / "pkg" / "code.py").read_text() == "mine\n"


def test_an_ignored_file_in_the_way_is_kept(repo):
    patch = new_file("mine.log", "theirs")
    (repo / "mine.log").write_text("mine\n")
    with pytest.raises(Unlanded, match=r"mine\.log"):
        land(patch, repo)
    assert (repo / "mine.log").read_text() == "mine\n"


def new_file(path, text, mode="100644"):
    body = f"+{text}\n" if mode != "120000" else f"+{text}\n\\ No newline at end of file\n"
    head = f"diff --git a/{path} b/{path}\nnew file mode {mode}\nindex 0000000..1111111\n"
    return f"{head}--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n{body}"


@pytest.mark.parametrize(
    "patch",
    [
        new_file("../outside.txt", "x"),
        new_file("/tmp/outside.txt", "x"),
        new_file(".git/hooks/post-checkout", "x", "100755"),
        new_file("pkg/.GIT/config", "x"),
        new_file("git~1/config", "x"),
        new_file("a/../../outside.txt", "x"),
        new_file("way", "/etc", "120000"),
        new_file("pkg/way", "../..", "120000"),
        new_file("way", ".git", "120000"),
        new_file("way", "pkg", "120000") + new_file("way/new.py", "x"),
        new_file("sub", "Subproject commit " + "1" * 40, "160000"),
        "diff --git a/other.txt b/other.txt\nrename from other.txt\nrename to ../outside.txt\n",
        "no patch at all",
    ],
)
def test_hostile_patches_are_refused(repo, patch):
    before = state(repo)
    for put in (lambda: land(patch, repo), lambda: branch(patch, repo, commit_of(repo), "b", "m")):
        with pytest.raises(Unlanded):
            put()
    assert state(repo) == before
    assert not (repo.parent / "outside.txt").exists()


def test_nothing_is_written_through_a_symlink_of_the_tree(repo):
    outside = repo.parent / "outside"
    outside.mkdir()
    (repo / "way").symlink_to(outside)
    with pytest.raises(Unlanded, match="through the symlink way"):
        land(new_file("way/new.txt", "x"), repo)
    assert list(outside.iterdir()) == []


def test_no_filter_hook_or_driver_of_the_repository_runs(repo):
    seen = repo.parent / "ran"
    for key in ("filter.evil.smudge", "filter.evil.clean", "merge.evil.driver", "diff.evil.textconv"):
        git("config", key, f"touch {seen}; cat", cwd=repo)
    for hook in ("post-checkout", "pre-commit", "reference-transaction", "post-commit", "commit-msg"):
        file = repo / ".git" / "hooks" / hook
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\ntouch {seen}\n")
        file.chmod(0o755)

    def change(clone):
        everything(clone)
        (clone / ".gitattributes").write_text("* filter=evil merge=evil diff=evil\n")

    patch = made(repo, change)
    branch(patch, repo, commit_of(repo), "there", "m")
    code = repo / "pkg" / "code.py"
    assert "new/deep/image.bin" in land(patch, repo)
    assert "line five" in code.read_text()
    assert not seen.exists()


def test_a_file_of_a_filter_is_refused(repo):
    git("config", "filter.big.clean", "cat", cwd=repo)
    (repo / ".gitattributes").write_text("*.py filter=big\n")
    git("add", "-A", cwd=repo)
    git("commit", "-qm", "filter", cwd=repo)
    patch = made(repo, everything)
    with pytest.raises(Unlanded, match=r"pkg/code\.py: a git filter"):
        land(patch, repo)


def test_line_ends_are_as_git_writes_them(repo):
    (repo / ".gitattributes").write_text("*.py text eol=crlf\n")
    git("add", "-A", cwd=repo)
    git("commit", "-qm", "line ends", cwd=repo)
    patch = made(repo, lambda clone: (clone / "pkg" / "code.py").write_bytes(b"one\r\ntwo\r\n"))
    land(patch, repo)
    assert (repo / "pkg" / "code.py").read_bytes() == b"one\r\ntwo\r\n"


def test_what_fails_half_way_is_undone(repo):
    patch = made(repo, everything) + new_file("z" * 300, "no file system takes such a name")
    before = state(repo)
    with pytest.raises(Unlanded, match="nothing was changed"):
        land(patch, repo)
    assert state(repo) == before


def test_a_branch_is_made_and_nothing_else_moves(repo):
    patch = made(repo, everything)
    base = commit_of(repo)
    (repo / "pkg" / "code.py").write_text("mine\n")
    files, index, _ = state(repo)
    commit = branch(patch, repo, base, "fix/one", "Mend it\n\nBy an agent.")
    assert state(repo)[:2] == (files, index)
    assert git("for-each-ref", "--format=%(objectname) %(refname)", cwd=repo).splitlines() == [
        f"{commit} refs/heads/fix/one",
        f"{base} refs/heads/main",
    ]
    assert git("log", "-1", "--format=%P %an %ae%n%B", "fix/one", cwd=repo).startswith(
        f"{base} a a@b\nMend it\n\nBy an agent."
    )
    assert git("diff", "--binary", "--full-index", "--no-renames", base, commit, cwd=repo) == patch
    assert git("symbolic-ref", "HEAD", cwd=repo) == "refs/heads/main\n"


@pytest.mark.parametrize(("name", "told"), [("main", "exists"), ("a b", "no name"), ("-x", "no name")])
def test_a_branch_that_cannot_be_made(repo, name, told):
    patch = made(repo, everything)
    with pytest.raises(Unlanded, match=told):
        branch(patch, repo, commit_of(repo), name, "m")


def test_a_branch_needs_somebody_who_commits(repo, monkeypatch):
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.delenv(name)
    with pytest.raises(Unlanded, match=r"user\.name"):
        branch(made(repo, everything), repo, commit_of(repo), "b", "m")


def test_a_part_of_a_patch_is_left_out(repo):
    patch, base = made(repo, everything), commit_of(repo)
    rest = without(patch, repo, base, ["pkg/code.py", "link"])
    assert [change.path for change in touched(rest, repo, base)] == [
        "gone/deep/file.txt",
        "latin-\udce9.txt",
        "new/deep/image.bin",
        "run.sh",
    ]
    assert without(patch, repo, base, [change.path for change in touched(patch, repo, base)]) == ""


def test_what_git_ignores_is_known(repo):
    assert is_ignored(repo, repo / "runs")
    assert not is_ignored(repo, repo / "pkg")
    assert Path(repo / "other.txt").exists()


def test_a_patch_that_lost_bytes_is_found(repo):
    patch, base = made(repo, everything), commit_of(repo)
    check_whole(patch, repo, base)
    lost = patch.encode("utf-8", "replace").decode()
    assert lost != patch
    with pytest.raises(Unlanded, match="bytes of it were lost"):
        check_whole(lost, repo, base)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_git_keeps_its_own_word_on_repositories_of_others(repo):
    patch = made(repo, everything)
    for place in (repo, repo / ".git"):
        os.chown(place, 12345, 12345)
    with pytest.raises(UsageError, match="dubious ownership"):
        land(patch, repo)


def new(path, body, mode="100644"):
    text = "".join(f"+{row}\n" for row in body.splitlines())
    count = len(body.splitlines())
    end = "\\ No newline at end of file\n" if mode == "120000" else ""
    head = f"diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n"
    return f"{head}@@ -0,0 +1,{count} @@\n{text}{end}"


@pytest.mark.parametrize(
    "patch",
    [
        new("evil", "here/here/../victim", "120000") + new("here", ".", "120000"),
        new("deep/one", "../pkg", "120000") + new("evil", "deep/one/../../victim", "120000"),
        new("evil", ".git/hooks", "120000"),
        new("a", "b", "120000") + new("b", "a", "120000"),
    ],
)
def test_links_that_lead_out_by_way_of_others_are_refused(repo, patch):
    base = commit_of(repo)
    with pytest.raises(Unlanded, match="leads out of the tree"):
        land(patch, repo)
    with pytest.raises(Unlanded, match="leads out of the tree"):
        branch(patch, repo, base, "new", "m")
    assert not uncommitted(repo)


def test_links_inside_are_taken(repo):
    land(new("deep/one", "../pkg/code.py", "120000") + new("two", "deep/one", "120000"), repo)
    assert (repo / "two").read_text().startswith("line 0")


def test_what_the_users_rules_leave_out_is_refused(repo):
    emptied = """diff --git a/.gitignore b/.gitignore
--- a/.gitignore
+++ b/.gitignore
@@ -1,2 +0,0 @@
-*.log
-runs/
"""
    base = commit_of(repo)
    for patch in (emptied + new("runs/evil.pth", "import os"), new("x.log", "1")):
        with pytest.raises(Unlanded, match=r"ignore rules leave out: (runs/evil\.pth|x\.log)"):
            land(patch, repo)
        with pytest.raises(Unlanded, match="ignore rules leave out"):
            branch(patch, repo, base, "new", "m")
    assert not uncommitted(repo)
