"""Mounts stand where they are meant to, whatever the commands of a box leave on the way."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from tts.errors import UsageError
from tts.sandboxes.box import INSIDE, Box, Mount, Order
from tts.sandboxes.bwrap import Bwrap
from tts.sandboxes.mounts import HOME, TMP, check, held
from tts.sandboxes.named import sandbox
from tts.sandboxes.processes import Unrunnable

needs_bwrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    place = tmp_path / "attempt" / "tree"
    place.mkdir(parents=True)
    return place


@pytest.fixture
def data(tmp_path: Path) -> Path:
    place = tmp_path / "data"
    place.mkdir()
    (place / "file").write_text("mounted\n")
    return place


def used(workspace: Path, mounts: tuple[Mount, ...], use: Callable[[Box], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Bwrap(mounts=mounts).open(workspace) as box:
            await use(box)

    anyio.run(main)


PLANT = """
rm -rf {target}; rmdir {target}; mv {target} {parent}/old; mv {parent} {base}/old; mv {base}/a {base}/b
ln -s /oldroot{victim} {base}/a; ln -s /oldroot{victim} {parent}; ln -sf /oldroot{victim}/file {target}
python3 - <<'END'
import ctypes
c = ctypes.CDLL(None)
for one, two in (("{base}/a", "{base}/x"), ("{parent}", "{base}/x"), ("{target}", "{parent}/x")):
    open("{base}/x", "w").close()
    c.renameat2(-100, one.encode(), -100, two.encode(), 2)  # RENAME_EXCHANGE
END
echo kept >{parent}/own
"""


@needs_bwrap
@pytest.mark.parametrize("base", [HOME, TMP])
@pytest.mark.parametrize("name", ["", "file"])
def test_what_leads_to_a_mount_cannot_be_replaced(
    tmp_path: Path, workspace: Path, data: Path, base: str, name: str
) -> None:
    (victim := tmp_path / "victim").mkdir()
    parent, target = f"{base}/a/b", f"{base}/a/b/point"
    script = PLANT.format(base=base, parent=parent, target=target, victim=victim)
    look = f"cat {target}" if name else f"cat {target}/file"

    async def use(box: Box) -> None:
        await box.run(Order(["sh", "-c", script], seconds=20))
        for _ in range(2):
            ran = await box.run(Order(["sh", "-c", f"{look}; cat {parent}/own"], seconds=20))
            assert ran.output == "mounted\nkept\n"

    used(workspace, (Mount(data / name, target),), use)
    assert list(victim.iterdir()) == []
    assert (data / "file").read_text() == "mounted\n"


@needs_bwrap
def test_a_link_that_somebody_else_put_there_ends_the_command(
    tmp_path: Path, workspace: Path, data: Path
) -> None:
    async def use(box: Box) -> None:
        assert (await box.run(Order(["true"], seconds=20))).returncode == 0
        (place,) = workspace.parent.glob("box-*")
        shutil.rmtree(place / "tmp" / "a")
        (place / "tmp" / "a").symlink_to(tmp_path)
        ran = await box.run(Order(["true"], seconds=20))
        assert (ran.returncode, ran.ended) == (126, "exited")
        assert "/tmp/a/b" in ran.output

    used(workspace, (Mount(data, "/tmp/a/b"),), use)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["attempt", "data"]


def test_places_are_made_without_following_links(tmp_path: Path, data: Path) -> None:
    (tmp_path / "tmp").mkdir()
    roots = {TMP: tmp_path / "tmp"}
    ways = held([Mount(data, "/tmp//a/./b"), Mount(data / "file", "/tmp/a/c"), Mount(data, "/opt/d")], roots)
    assert ways == {"/tmp/a": tmp_path / "tmp" / "a"}
    assert [(tmp_path / "tmp/a/b").is_dir(), (tmp_path / "tmp/a/c").is_file()] == [True, True]
    (tmp_path / "tmp/a/d").symlink_to(tmp_path / "made")
    for source in (data, data / "file"):
        with pytest.raises(Unrunnable):
            held([Mount(source, "/tmp/a/d")], roots)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (f"{INSIDE}/conf", f"write in {INSIDE} and could move it"),
        (f"/{INSIDE}//conf", "could move it"),
        (INSIDE, f"hide {INSIDE}"),
        (TMP, f"hide {TMP}"),
        (HOME, f"hide {HOME}"),
        ("/home/", f"hide {HOME}"),
        ("/opt/open/deep", "write in /opt/open and could move it"),
        ("/opt/closed/gone", "no gone in"),
        ("/usr/no/such", "no no/such in /usr"),
        ("/opt/../testbed", "full path"),
        ("//", "full path"),
        ("opt", "full path"),
    ],
)
def test_targets_that_are_refused_before_anything_runs(data: Path, target: str, said: str) -> None:
    around = [Mount(data, "/opt/closed"), Mount(data, "/opt/open", writable=True)]
    with pytest.raises(UsageError, match=said):
        check([*around, Mount(Path("/etc"), target)])
    with pytest.raises(UsageError, match=said):
        check([Mount(Path("/etc"), target), *around])


def test_what_commands_can_write_is_nobodys_source(tmp_path: Path, data: Path) -> None:
    check([Mount(data / "file"), Mount(data, "/opt/data"), Mount(data, "/opt/data/file")])
    check([Mount(data, "/opt/data", writable=True), Mount(data, "/opt/again")])
    with pytest.raises(UsageError, match=r"write in .*data, which holds it"):
        check([Mount(data / "file", "/opt/file"), Mount(data, "/opt/data", writable=True)])
    with pytest.raises(UsageError, match="tree at /testbed: commands can write"):
        check([Mount(tmp_path, "/opt/all", writable=True)], INSIDE, tmp_path / "tree")
    with pytest.raises(UsageError, match="commands can write in"):
        check([Mount(Path(sys.base_prefix).parent, "/opt/all", writable=True)])


@needs_bwrap
def test_a_link_to_a_source_cannot_be_turned_elsewhere(tmp_path: Path, workspace: Path, data: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file").write_text("secret\n")
    (cache := tmp_path / "cache").mkdir()
    (cache / "link").symlink_to("../data")

    async def use(box: Box) -> None:
        await box.run(Order(["ln", "-sfn", "../secret", "/opt/cache/link"], seconds=20))
        assert (await box.run(Order(["cat", "/opt/file"], seconds=20))).output == "mounted\n"

    used(workspace, (Mount(cache, "/opt/cache", writable=True), Mount(cache / "link/file", "/opt/file")), use)
    assert (cache / "link").resolve() == tmp_path / "secret"


@needs_bwrap
def test_the_command_line_is_told_at_once(data: Path) -> None:
    with pytest.raises(UsageError, match="PATH:/opt/name"):
        sandbox(mounts=[Mount(data, f"{INSIDE}/data")])


def test_a_python_where_the_workspace_is_to_be_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tts.sandboxes.mounts.pythons", lambda: [Path(f"{INSIDE}/.venv")])
    with pytest.raises(UsageError, match="install tts elsewhere"):
        check(())
