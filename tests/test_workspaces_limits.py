"""What would make git take gigabytes, or for ever, is stopped and told."""

from __future__ import annotations

import base64
import subprocess
import zlib
from pathlib import Path

import anyio
import pytest

from tts.errors import LimitReached
from tts.types import Task
from tts.workspaces import limits, patches, running
from tts.workspaces.git import GitWorkspaces
from tts.workspaces.limits import MOST_BINARY, check_binary, limited

BASE = b"x" * 6000 + b"\0"


@pytest.fixture
def task(tmp_path: Path) -> Task:
    place = tmp_path / "source"
    place.mkdir()
    (place / "a.bin").write_bytes(BASE)
    for args in (["init", "-q"], ["add", "."], ["commit", "-qm", "base"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *args], cwd=place, check=True)
    return Task("t", "p", str(place), patches.commit_of(place))


def number(n: int) -> bytes:
    low, high = n & 127, n >> 7
    return bytes([low | 128]) + number(high) if high else bytes([low])


def lines(data: bytes) -> str:
    parts = [data[i : i + 52] for i in range(0, len(data), 52)]
    first = [chr(len(p) + 64) if len(p) <= 26 else chr(len(p) + 70) for p in parts]
    return "\n".join(
        a + base64.b85encode(p + b"\0" * (-len(p) % 4)).decode() for a, p in zip(first, parts, strict=True)
    )


def bomb(old: str, times: int, size: int | None = None, stuffing: bytes = b"") -> str:
    """A delta that copies the base so many times; `stuffing` stands before it in the packed stream."""
    delta = number(len(BASE)) + number(size or times * 6000) + bytes([0xB0, 6000 & 255, 6000 >> 8]) * times
    packed = zlib.compress(delta, 9)
    packed = packed[:2] + stuffing + packed[2:]
    return (
        f"diff --git a/a.bin b/a.bin\nindex {old}..{'1' * 40} 100644\nGIT binary patch\n"
        f"delta {len(delta)}\n{lines(packed)}\n\n"
    )


def old_of(task: Task) -> str:
    return patches.git("rev-parse", "HEAD:a.bin", cwd=Path(task.repo)).decode().strip()


@pytest.mark.parametrize(
    ("times", "stuffing", "said"),
    [(400_000, b"", "2,401,200,007 bytes"), (400_000, b"\x00\x00\x00\xff\xff" * 500, "a size that it hides")],
)
def test_a_small_patch_that_makes_gigabytes_is_refused(times: int, stuffing: bytes, said: str) -> None:
    patch = bomb("1" * 40, times, stuffing=stuffing)
    assert len(patch) < 20_000
    with pytest.raises(LimitReached, match=said):
        check_binary(patch.encode())


def test_a_whole_file_counts_as_what_it_says() -> None:
    whole = f"GIT binary patch\nliteral {MOST_BINARY + 1}\nzABC\n\n"
    with pytest.raises(LimitReached, match="binary files come to"):
        check_binary(whole.encode())


def test_honest_binary_patches_pass(task: Task, tmp_path: Path) -> None:
    async def main() -> tuple[str, bool]:
        async with GitWorkspaces(tmp_path / "w").open(task) as workspace:
            (workspace.path / "a.bin").write_bytes(BASE + bytes(range(256)) * 40)
            patch = await workspace.diff()
            return patch, await workspace.applies(patch)

    patch, applies = anyio.run(main)
    assert "GIT binary patch" in patch
    assert applies
    check_binary(patch.encode(), most=40_000)


def test_neither_an_attempt_nor_the_user_pays_for_a_bomb(task: Task, tmp_path: Path) -> None:
    patch = bomb(old_of(task), 400_000)

    async def main() -> bool:
        async with GitWorkspaces(tmp_path / "w").open(task) as workspace:
            return await workspace.applies(patch)

    assert not anyio.run(main)
    with pytest.raises(patches.Unlanded, match="binary files come to"):
        patches.put(patch, Path(task.repo))


def test_rules_that_take_for_ever_are_stopped(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "limited", lambda: limited(1))

    async def main() -> None:
        async with GitWorkspaces(tmp_path / "w").open(task) as workspace:
            (workspace.path / ".gitignore").write_text("*a" * 60 + "*b\n")
            (workspace.path / ("a" * 120 + "c")).write_text("")
            with pytest.raises(LimitReached, match="processor time"):
                await workspace.diff()

    anyio.run(main)


def test_memory_is_limited(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = Path(task.repo)
    (repo / "large").write_bytes(bytes(24 * 2**20))
    blob = patches.git("hash-object", "-w", "large", cwd=repo).decode().strip()
    monkeypatch.setattr(limits, "MEMORY_KIB", 20_000)
    with pytest.raises(patches.Unlanded, match="of memory over the patch"):
        patches.git("cat-file", "--filters", "--path=large", blob, cwd=repo)


def test_thousands_of_repositories_inside_are_a_limit(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tts.workspaces.changes.MOST_LEFT_OUT", 3)

    async def main() -> None:
        async with GitWorkspaces(tmp_path / "w").open(task) as workspace:
            for i in range(4):
                (workspace.path / f"r{i}" / ".git").mkdir(parents=True)
                (workspace.path / f"r{i}" / ".git" / "HEAD").write_text("x")
            with pytest.raises(LimitReached, match="more than 3 places"):
                await workspace.diff()

    anyio.run(main)


def test_thousands_of_paths_can_be_left_out_of_a_patch(task: Task) -> None:
    added = "".join(
        f"diff --git a/f{i} b/f{i}\nnew file mode 100644\n--- /dev/null\n+++ b/f{i}\n@@ -0,0 +1 @@\n+x\n"
        for i in range(3)
    )
    repo = Path(task.repo)
    gone = [f"f{i}" for i in range(1, 40_000)]
    assert [
        c.path
        for c in patches.touched(patches.without(added, repo, task.base_commit, gone), repo, task.base_commit)
    ] == ["f0"]
