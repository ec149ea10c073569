"""A landing that is interrupted, or killed, leaves all files as they were."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tts.workspaces import moves
from tts.workspaces.moves import Put, put_all, recover

PUTS = (
    Put("a.txt", b"new a\n"),
    Put("b/c.txt", None),
    Put("d", None),
    Put("d2/e/f.txt", b"new f\n", 0o755),
    Put("link", b"a.txt", link=True),
)
STEPS = [(step, number) for step in ("keep", "place") for number in range(len(PUTS))]
CHILD = """
import os, signal, sys
from pathlib import Path
from tts.workspaces import moves
step, number, when = sys.argv[2], int(sys.argv[3]), sys.argv[4]
real = getattr(moves._Journal, step)
def hit(self, n, *rest):
    if n == number and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    real(self, n, *rest)
    if n == number:
        os.kill(os.getpid(), signal.SIGKILL)
setattr(moves._Journal, step, hit)
top = Path(sys.argv[1])
puts = (moves.Put("a.txt", b"new a\\n"), moves.Put("b/c.txt", None), moves.Put("d2/e/f.txt", b"new f\\n"))
moves.put_all(top, top / ".git", puts)
"""


@pytest.fixture
def top(tmp_path: Path) -> Path:
    place = tmp_path / "top"
    (place / ".git").mkdir(parents=True)
    (place / "b").mkdir()
    for name in ("a.txt", "b/c.txt", "d", "link", "mine.txt"):
        (place / name).write_text(f"old {name}\n")
    return place


def seen(top: Path) -> dict[str, str]:
    found = (path for path in sorted(top.rglob("*")) if path.is_file())
    return {str(p.relative_to(top)): os.readlink(p) if p.is_symlink() else p.read_text() for p in found}


def test_all_files_are_put(top: Path) -> None:
    put_all(top, top / ".git", PUTS)
    assert seen(top) == {
        "a.txt": "new a\n",
        "d2/e/f.txt": "new f\n",
        "link": "a.txt",
        "mine.txt": "old mine.txt\n",
    }
    assert (top / "d2/e/f.txt").stat().st_mode & 0o777 == 0o755
    assert not (top / "b").exists()
    assert recover(top, top / ".git") == []


@pytest.mark.parametrize(("step", "number"), STEPS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, MemoryError])
def test_an_error_at_any_step_undoes_all(
    top: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int, error: type[BaseException]
) -> None:
    before, real = seen(top), getattr(moves._Journal, step)

    def hit(self: object, n: int, *rest: object) -> None:
        real(self, n, *rest)
        if n == number:
            raise error

    monkeypatch.setattr(moves._Journal, step, hit)
    with pytest.raises(error):
        put_all(top, top / ".git", PUTS)
    assert seen(top) == before


def test_a_signal_waits_until_all_is_done(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = moves._Journal.place

    def hit(self: moves._Journal, n: int, put: Put) -> None:
        signal.raise_signal(signal.SIGINT)
        real(self, n, put)

    monkeypatch.setattr(moves._Journal, "place", hit)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            put_all(top, top / ".git", PUTS)
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen(top)["link"] == "a.txt"
    assert not list((top / ".git").iterdir())


@pytest.mark.parametrize(
    ("step", "number", "when"),
    [("keep", 1, "after"), ("place", 0, "before"), ("place", 0, "after"), ("place", 2, "after")],
)
def test_what_a_kill_leaves_is_put_back(top: Path, step: str, number: int, when: str) -> None:
    before = seen(top)
    child = subprocess.run([sys.executable, "-c", CHILD, str(top), step, str(number), when], check=False)
    assert child.returncode == -signal.SIGKILL
    assert seen(top) != before
    assert recover(top, top / ".git")
    assert seen(top) == before
    assert recover(top, top / ".git") == []


def test_a_landing_that_goes_on_is_left_alone(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[list[str]] = []
    real = moves._Journal.place

    def hit(self: moves._Journal, n: int, put: Put) -> None:
        real(self, n, put)
        found.append(recover(top, top / ".git"))

    monkeypatch.setattr(moves._Journal, "place", hit)
    put_all(top, top / ".git", PUTS)
    assert found == [[]] * len(PUTS)
    assert seen(top)["a.txt"] == "new a\n"
