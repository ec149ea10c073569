"""What every sandbox keeps to: what commands find, what is heard of them, and that none outlives its end."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from tts.errors import LimitReached
from tts.sandboxes import processes, watch
from tts.sandboxes.box import MIB, Box, Caps, Ended, Order, Ran, Sandbox
from tts.sandboxes.bwrap import Bwrap
from tts.sandboxes.groups import controllers
from tts.sandboxes.none import NoSandbox
from tts.sandboxes.watch import Meter

CAPS = Caps(memory_bytes=192 * MIB, processes=40, file_bytes=8 * MIB, total_bytes=16 * MIB, output_bytes=4000)

needs_bwrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")


@pytest.fixture(params=[pytest.param("bwrap", marks=needs_bwrap), "none"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return Bwrap(CAPS) if request.param == "bwrap" else NoSandbox(CAPS)


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measuring these small folders is cheap, also where others have the processors meanwhile."""
    monkeypatch.setattr(watch, "CHEAP_SECONDS", 60.0)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    place = tmp_path / "attempt" / "tree"
    place.mkdir(parents=True)
    (place / "here.txt").write_text("here\n")
    return place


@pytest.fixture
def nap() -> str:
    """Seconds to sleep, by which the processes of one test are known also while others run beside it."""
    return f"40.{secrets.randbelow(10**12):012d}"


def opened(sandbox: Sandbox, workspace: Path, use: Callable[[Box], Awaitable[None]]) -> None:
    async def main() -> None:
        async with sandbox.open(workspace) as box:
            await use(box)

    anyio.run(main)
    assert sorted(path.name for path in workspace.parent.iterdir()) == ["tree"], "a box leaves nothing beside"


def ran(sandbox: Sandbox, workspace: Path, script: str, order: Order | None = None) -> Ran:
    """What a shell script came to, in a box of its own."""
    results: list[Ran] = []

    async def use(box: Box) -> None:
        asked = replace(order or Order([], seconds=20), argv=["sh", "-c", script])
        results.append(await box.run(asked))

    opened(sandbox, workspace, use)
    return results[0]


def running(word: str) -> list[int]:
    """The living processes whose command line holds a word."""
    found: list[int] = []
    for name in os.listdir("/proc"):
        try:
            line = Path("/proc", name, "cmdline").read_bytes() if name.isdigit() else b""
        except OSError:
            continue
        if word.encode() in line and int(name) != os.getpid():
            found.append(int(name))
    return found


def test_it_runs_in_the_workspace_and_reports_what_became_of_it(sandbox: Sandbox, workspace: Path) -> None:
    result = ran(sandbox, workspace, "cat here.txt; echo new >made.txt; echo bad >&2; exit 3")
    assert (result.returncode, result.output, result.errors) == (3, "here\nbad\n", "")
    assert (result.ended, result.lost_bytes) == ("exited", 0)
    assert result.seconds > 0
    assert (workspace / "made.txt").read_text() == "new\n"


def test_stderr_can_be_kept_apart_and_input_is_read_to_its_end(sandbox: Sandbox, workspace: Path) -> None:
    order = Order([], stdin=b"asked " * 50_000, apart=True, seconds=20)
    result = ran(sandbox, workspace, "wc -c; echo bad >&2", order)
    assert (result.output.strip(), result.errors) == ("300000", "bad\n")
    assert ran(sandbox, workspace, "cat").output == "", "without input there is an empty one"


def test_the_place_inside_is_where_it_says(sandbox: Sandbox, workspace: Path) -> None:
    (workspace / "sub").mkdir()

    async def use(box: Box) -> None:
        assert (await box.run(Order(["pwd"]))).output.strip() == box.cwd
        assert (await box.run(Order(["pwd"], cwd="sub"))).output.strip() == f"{box.cwd}/sub"
        assert (await box.run(Order(["pwd"], cwd=f"{box.cwd}/sub"))).output.strip() == f"{box.cwd}/sub"
        assert (await box.run(Order(["pwd"], cwd="gone"))).returncode == 126

    opened(sandbox, workspace, use)


def test_the_environment_is_cleared_but_for_named_exceptions(
    sandbox: Sandbox, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hidden")
    monkeypatch.setenv("CHOSEN", "shown")
    chosen = replace(sandbox, env=("CHOSEN", "NOT_SET_ANYWHERE"))  # type: ignore[type-var]
    output = ran(chosen, workspace, "env", Order([], env={"ASKED": "a\nb"})).output  # type: ignore[arg-type]
    names = {line.partition("=")[0] for line in output.splitlines()}
    assert names - {"TMPDIR", "TTS_BOX", "b"} == {"PATH", "HOME", "LANG", "TERM", "PWD", "CHOSEN", "ASKED"}
    assert "hidden" not in output
    assert "CHOSEN=shown" in output


def test_home_and_tmp_are_empty_and_last_from_command_to_command(sandbox: Sandbox, workspace: Path) -> None:
    async def use(box: Box) -> None:
        empty = await box.run(Order(["sh", "-c", 'ls -A "$HOME" "${TMPDIR:-/tmp}" | grep -v : ; true']))
        shown = {Path(sys.prefix).parts[2]} if sys.prefix.startswith("/tmp/") else set[str]()
        assert set(empty.output.split()) <= shown  # this Python itself may lie there
        await box.run(Order(["sh", "-c", 'echo kept >"$HOME/a"; echo too >"${TMPDIR:-/tmp}/b"']))
        again = await box.run(Order(["sh", "-c", 'cat "$HOME/a" "${TMPDIR:-/tmp}/b"']))
        assert again.output == "kept\ntoo\n"

    opened(sandbox, workspace, use)


def test_output_is_kept_at_both_ends_and_lines_are_heard_as_they_come(
    sandbox: Sandbox, workspace: Path
) -> None:
    heard: list[str] = []
    result = ran(sandbox, workspace, "seq 1 20000; printf end", Order([], heard=heard.append, seconds=20))
    assert heard == [*map(str, range(1, 20001)), "end"]
    assert result.output.startswith("1\n2\n")
    assert result.output.endswith("\n20000\nend")
    assert len(result.output) < CAPS.output_bytes + 100
    assert result.lost_bytes == 20000 * 5 + 8894 + 3 - CAPS.output_bytes
    assert f"{result.lost_bytes} bytes left out" in result.output


def test_what_is_no_text_and_what_never_ends_a_line(sandbox: Sandbox, workspace: Path) -> None:
    heard: list[str] = []
    order = Order([], heard=heard.append, seconds=20)
    script = r"printf 'a\377b\n'; head -c 3000000 /dev/zero | tr '\0' x; printf '\nlast\r\n'"
    result = ran(sandbox, workspace, script, order)
    assert heard[0] == "a\ufffdb"
    assert [len(heard[1]), heard[2:]] == [1024 * 1024, ["last"]]
    assert result.output.startswith("a\ufffdb")


def test_what_cannot_be_run_is_a_result(sandbox: Sandbox, workspace: Path) -> None:
    async def use(box: Box) -> None:
        assert (await box.run(Order(["no-such-program"]))).returncode == 127
        for argv in (["echo", "a\0b"], ["echo", "\ud800"], ["echo", "x" * 3_000_000]):
            result = await box.run(Order(argv))
            assert (result.returncode, result.ended) == (126, "exited")
            assert result.output.startswith("cannot run this command: ")
        assert (await box.run(Order(["sh", "-c", "kill -9 $$"]))).returncode in (-9, 137)

    opened(sandbox, workspace, use)


DAEMON = "setsid sh -c 'trap \"\" TERM HUP; (sleep {n}; true) & sleep {n}; true' >/dev/null 2>&1 </dev/null &"


def test_nothing_outlives_its_command(sandbox: Sandbox, workspace: Path, nap: str) -> None:
    result = ran(sandbox, workspace, DAEMON.format(n=nap) + f" (sleep {nap} &) ; echo done")
    assert (result.output, result.ended) == ("done\n", "exited")
    assert result.seconds < 10, "a child that holds the output open does not make it last"
    assert running(nap) == []


def test_a_time_out_ends_the_whole_tree(sandbox: Sandbox, workspace: Path, nap: str) -> None:
    script = DAEMON.format(n=nap) + f" trap '' TERM; echo begun; sleep {nap}"
    result = ran(sandbox, workspace, script, Order([], seconds=0.3))
    assert (result.ended, result.returncode, result.output) == ("timeout", -9, "begun\n")
    assert result.seconds < 10
    assert running(nap) == []


def test_a_command_that_is_stopped_may_tidy_up(sandbox: Sandbox, workspace: Path) -> None:
    script = "trap 'echo tidied >tidy; exit' TERM; echo begun; sleep 43 & wait"
    result = ran(sandbox, workspace, script, Order([], seconds=0.4))
    assert result.ended == "timeout"
    assert (workspace / "tidy").read_text() == "tidied\n"


def test_cancelling_ends_the_tree_before_it_returns(sandbox: Sandbox, workspace: Path, nap: str) -> None:
    async def main() -> None:
        async with sandbox.open(workspace) as box, anyio.create_task_group() as group:

            def begun(line: str) -> None:
                assert running(nap)
                group.cancel_scope.cancel()

            script = DAEMON.format(n=nap) + f" echo begun; trap '' TERM; sleep {nap}"
            await box.run(Order(["sh", "-c", script], heard=begun))
            raise AssertionError("the command came to an end")

    anyio.run(main)
    assert running(nap) == []
    assert [path.name for path in workspace.parent.iterdir()] == ["tree"]


def test_an_error_of_the_listener_ends_the_command_and_comes_as_itself(
    sandbox: Sandbox, workspace: Path, nap: str
) -> None:
    def heard(line: str) -> None:
        raise LimitReached(line)

    with pytest.raises(LimitReached, match="too much"):
        ran(sandbox, workspace, f"echo too much; exec sleep {nap}", Order([], heard=heard))
    assert running(nap) == []


@pytest.mark.parametrize(
    ("script", "ended"),
    [
        ("for i in $(seq 60); do sleep NAP & done; wait", "processes"),
        ("for i in 1 2 3 4; do head -c 5000000 /dev/zero >$HOME/$i; done; sleep NAP", "size"),
        ("for i in 1 2 3 4; do head -c 5000000 /dev/zero >f$i; done", "size"),
        ("for i in 1 2 3; do (head -c 99000000 /dev/zero; sleep NAP) | tail -n 1 & done; wait", "memory"),
    ],
)
def test_limits_end_a_command(sandbox: Sandbox, workspace: Path, nap: str, script: str, ended: Ended) -> None:
    result = ran(sandbox, workspace, script.replace("NAP", nap), Order([], seconds=20))
    assert result.ended == ended
    assert result.seconds < 10
    assert running(nap) == []


def test_no_file_grows_past_the_limit_and_no_core_is_left(sandbox: Sandbox, workspace: Path) -> None:
    script = "truncate -s 1G sparse; head -c 9000000 /dev/zero >real; ulimit -c; true"
    result = ran(sandbox, workspace, script)
    assert result.output.splitlines()[-1] == "0"
    sizes = {path.name: path.stat().st_size for path in workspace.iterdir()}
    assert max(sizes.values()) <= CAPS.file_bytes
    assert sizes["real"] > 0


def test_files_can_be_removed_once_a_box_is_over_its_size(sandbox: Sandbox, workspace: Path) -> None:
    async def use(box: Box) -> None:
        full = "for i in 1 2 3 4; do head -c 5000000 /dev/zero >f$i; done; sleep 47"
        assert (await box.run(Order(["sh", "-c", full]))).ended == "size"
        assert (await box.run(Order(["sh", "-c", "rm f?; sleep 0.15"]))).ended == "exited"
        assert (await box.run(Order(["sh", "-c", "sleep 0.15"]))).ended == "exited"

    opened(sandbox, workspace, use)


FILL = "for i in 1 2 3 4; do head -c 5000000 /dev/zero >f$i; done"


def test_what_a_stopped_command_adds_on_its_way_out_is_not_laid_to_the_next(
    sandbox: Sandbox, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 10.0)
    late = f"trap 'head -c 5000000 /dev/zero >late; exit' TERM; {FILL}"

    async def use(box: Box) -> None:
        first = await box.run(Order(["sh", "-c", f"{late}; while :; do sleep 0.01; done"]))
        assert (first.ended, (workspace / "late").stat().st_size > 0) == ("size", True)
        assert (await box.run(Order(["sh", "-c", "sleep 0.15"]))).ended == "exited"

    opened(sandbox, workspace, use)


def test_what_a_command_wrote_that_ran_out_of_memory_is_not_laid_to_the_next(
    sandbox: Sandbox, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Meter, "due", lambda self: False)
    hog = f"{FILL}; exec python3 -c 'x = [bytes([1]) * (1 << 20) for _ in range(10000)]'"

    async def use(box: Box) -> None:
        by_kernel = any("memory" in event for one in controllers() for event in one.events)
        assert (await box.run(Order(["sh", "-c", hog]))).ended == ("memory" if by_kernel else "size")
        assert (await box.run(Order(["true"]))).ended == "exited"

    opened(sandbox, workspace, use)


def test_what_was_there_before_the_first_command_is_laid_to_none(sandbox: Sandbox, workspace: Path) -> None:
    (workspace / "large").write_bytes(bytes(20 * MIB))
    assert ran(sandbox, workspace, "sleep 0.15").ended == "exited"


def test_another_command_s_end_does_not_hide_what_one_has_written(
    sandbox: Sandbox, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Meter, "due", lambda self: False)

    async def use(box: Box) -> None:
        ended: list[Ended] = []

        async def write() -> None:
            ended.append((await box.run(Order(["sh", "-c", f"{FILL}; touch full; sleep 47"]))).ended)

        async with anyio.create_task_group() as group:
            group.start_soon(write)
            other = await box.run(Order(["sh", "-c", "until [ -e full ]; do sleep 0.01; done; kill -9 $$"]))
        assert (ended, other.ended) == (["size"], "size")

    opened(sandbox, workspace, use)


def test_several_commands_at_once_in_one_box(sandbox: Sandbox, workspace: Path) -> None:
    async def use(box: Box) -> None:
        outputs: list[str] = []

        async def one(n: int) -> None:
            script = f"echo {n}; touch m{n}; until [ -e m0 ] && [ -e m1 ]; do sleep 0.01; done; exit {n}"
            result = await box.run(Order(["sh", "-c", script], seconds=20))
            outputs.append(f"{result.returncode} {result.output}")

        async with anyio.create_task_group() as group:
            for n in (0, 1):
                group.start_soon(one, n)
        assert sorted(outputs) == ["0 0\n", "1 1\n"]

    opened(sandbox, workspace, use)


def test_a_box_leaves_nothing_however_it_was_left(sandbox: Sandbox, workspace: Path) -> None:
    folders = f"{'d' * 40}/" * 75
    ran(
        sandbox,
        workspace,
        f'cd "$HOME"; for i in 1 2; do mkdir -p {folders}; cd {folders}; done; chmod 0 ..',
    )
    assert list(workspace.parent.glob("box-*")) == []


def test_the_fingerprint_names_no_place_of_the_host(sandbox: Sandbox, tmp_path: Path) -> None:
    assert str(tmp_path) not in sandbox.fingerprint
    assert sandbox.fingerprint == replace(sandbox).fingerprint  # type: ignore[type-var]


def test_the_preflight_is_quick_the_second_time(sandbox: Sandbox) -> None:
    sandbox.problems()
    began = time.monotonic()
    assert all("\n" not in line for line in sandbox.problems())
    assert time.monotonic() - began < 0.1
