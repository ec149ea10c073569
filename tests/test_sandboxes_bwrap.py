"""What bubblewrap closes off, the watch where the kernel limits nothing, and the names of sandboxes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from tts.errors import Infra, UsageError
from tts.sandboxes.box import INSIDE, MIB, Caps, Mount, Order, Ran
from tts.sandboxes.bwrap import Bwrap, OpenBox
from tts.sandboxes.etc import MADE, etc
from tts.sandboxes.groups import Group, controllers, grouped, sweep
from tts.sandboxes.named import mount_of, sandbox
from tts.sandboxes.none import NoSandbox
from tts.sandboxes.preflight import bubblewrap
from tts.sandboxes.watch import folder, metered

CAPS = Caps(memory_bytes=256 * MIB, processes=40, file_bytes=8 * MIB, total_bytes=16 * MIB)

needs_bwrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    place = tmp_path / "attempts" / "attempt-1" / "tree"
    place.mkdir(parents=True)
    return place


def ran(workspace: Path, script: str, order: Order | None = None, box: Bwrap | None = None) -> Ran:
    async def main() -> Ran:
        async with (box or Bwrap(CAPS)).open(workspace) as opened:
            return await opened.run(replace(order or Order([], seconds=20), argv=["sh", "-c", script]))

    return anyio.run(main)


@needs_bwrap
def test_only_what_is_listed_is_seen(workspace: Path, tmp_path: Path) -> None:
    secret = tmp_path / "attempts" / "attempt-2" / "tree"
    secret.mkdir(parents=True)
    (secret / "secret").write_text("of a sibling")
    script = f"ls -A / /home /home/*; ls {workspace.parent}; cat {secret}/secret /etc/shadow; ls /testbed/.."
    listed = ran(workspace, script).output
    roots = {path.parts[1] for path in (Path(sys.prefix), Path(sys.base_prefix))}
    known = {"bin", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "proc", "sbin", "testbed", "tmp"}
    first = listed.split("/:\n")[1].split("\n\n")[0].split()
    assert set(first) - roots - {"usr"} <= known
    assert "agent" in listed
    assert "of a sibling" not in listed
    assert listed.count("No such file or directory") == 3


@needs_bwrap
def test_a_python_beside_the_attempts_does_not_show_them(workspace: Path) -> None:
    place = Path(sys.prefix).parent
    names = ran(workspace, f"ls -A {place}").output.split()
    if not Path(sys.prefix).is_relative_to("/usr"):
        assert set(names) <= {Path(sys.prefix).name, Path(sys.base_prefix).name}
    assert ran(workspace, f"{sys.executable} -c 'import sys; print(sys.prefix)'").output.strip() == sys.prefix


@needs_bwrap
def test_nothing_but_the_workspace_home_and_tmp_can_be_written(workspace: Path) -> None:
    places = ["/", "/usr", "/etc", "/dev", "/home", "/proc/1", "/usr/bin", sys.prefix]
    script = "for p in " + " ".join(places) + '; do touch "$p/x" 2>/dev/null && echo "$p"; done'
    script += '; for p in /testbed /tmp "$HOME" /dev/shm; do touch "$p/x" || echo "not $p"; done'
    assert ran(workspace, script).output == ""
    assert (workspace / "x").exists()


@needs_bwrap
def test_no_capabilities_no_namespaces_no_other_processes(workspace: Path) -> None:
    script = "grep ^Cap /proc/self/status; unshare -U true && echo made; ls /proc | grep -c '^[0-9]'; id -u"
    lines = ran(workspace, script).output.splitlines()
    assert [line.split()[1] for line in lines[:5]] == ["0" * 16] * 5
    assert "made" not in lines
    assert int(lines[-2]) < 8
    assert lines[-1] == "1000"


@needs_bwrap
def test_the_network_is_a_choice_of_each_command(workspace: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5); print('through')"
        script = f'{sys.executable} -c "{code}"'
        assert "ConnectionRefusedError" in ran(workspace, script).output
        assert ran(workspace, script, Order([], network=True)).output == "through\n"


@needs_bwrap
def test_values_of_variables_are_in_no_command_line(workspace: Path) -> None:
    seen: list[bytes] = []

    def heard(line: str) -> None:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.append(path.read_bytes())
            except OSError:
                continue
        (workspace / "seen").touch()

    order = Order([], env={"KEY": "s3cr3t-value"}, heard=heard)
    script = "echo $KEY; until [ -e seen ]; do sleep 0.01; done"
    assert ran(workspace, script, order).output == "s3cr3t-value\n"
    assert any(b"bwrap" in line for line in seen)
    assert not any(b"s3cr3t-value" in line for line in seen)
    with pytest.raises(UsageError, match="NUL"):
        ran(workspace, "true", Order([], env={"KEY": "a\0--bind\0/\0/host"}))


@needs_bwrap
def test_mounts_are_read_only_unless_they_say_so(workspace: Path, tmp_path: Path) -> None:
    for name in ("read", "write"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    mounts = (Mount(tmp_path / "read", "/opt/read"), Mount(tmp_path / "write", writable=True))
    script = f"cat /opt/read/file {tmp_path}/write/file; echo x >/opt/read/new; echo x >{tmp_path}/write/new"
    assert ran(workspace, script, box=Bwrap(CAPS, mounts)).output.startswith("readwrite")
    assert not (tmp_path / "read" / "new").exists()
    assert (tmp_path / "write" / "new").exists()
    assert "/opt/read" in Bwrap(CAPS, mounts).fingerprint
    with pytest.raises(UsageError, match="no such file"):
        ran(workspace, "true", box=Bwrap(CAPS, (Mount(tmp_path / "gone"),)))
    with pytest.raises(UsageError, match="full path"):
        ran(workspace, "true", box=Bwrap(CAPS, (Mount(tmp_path, "/a/../.."),)))


@needs_bwrap
def test_a_tree_without_rights_is_a_result(workspace: Path) -> None:
    workspace.chmod(0)
    result = ran(workspace, "echo never")
    workspace.chmod(0o700)
    assert result.ended == "exited"
    if os.getuid():
        assert result.returncode == 126


@needs_bwrap
def test_a_box_that_cannot_be_made_is_the_machines_failure(workspace: Path, tmp_path: Path) -> None:
    source = tmp_path / "short-lived"
    source.mkdir()

    async def main() -> None:
        async with Bwrap(CAPS).open(workspace, mounts=[Mount(source)]) as box:
            source.rmdir()
            await box.run(Order(["true"]))

    with pytest.raises(Infra, match="short-lived"):
        anyio.run(main)


@needs_bwrap
@pytest.mark.parametrize(
    ("script", "ended"),
    [
        ("for i in $(seq 60); do sleep 46.4747 & done; wait", "processes"),
        ("exec python3 -c 'x = [bytes(1 << 20) for _ in range(10000)]'", "exited"),
        ("for i in 1 2 3; do (head -c 99000000 /dev/zero; sleep 46.4747) | tail -n 1 & done; wait", "memory"),
    ],
)
def test_without_control_groups_the_watch_limits(workspace: Path, script: str, ended: str) -> None:
    async def main() -> Ran:
        async with folder(workspace, MADE) as place:
            box = OpenBox(
                Bwrap(CAPS), workspace, place, INSIDE, Group(CAPS), await metered(CAPS, (workspace,))
            )
            return await box.run(Order(["sh", "-c", script], seconds=20))

    result = anyio.run(main)
    assert (result.ended, result.returncode != 0) == (ended, True)


def test_groups_that_a_killed_run_left_are_removed() -> None:
    if not controllers():
        pytest.skip("this machine lets us make no control groups")
    code = "\n".join(
        [
            "import anyio",
            "from tts.sandboxes.box import Caps",
            "from tts.sandboxes.groups import grouped",
            "async def main():",
            "    async with grouped(Caps()) as group:",
            "        with group.run() as run:",
            "            await anyio.open_process([*run.joining(), 'sleep', '48.4848'])",
            "            print(*[place for _, place in group.folders], sep='\\n', flush=True)",
            "            await anyio.sleep(60)",
            "anyio.run(main)",
        ]
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        places = [Path(child.stdout.readline().strip()) for _ in controllers()]
        child.send_signal(signal.SIGKILL)
    assert all(place.is_dir() for place in places)
    until = time.monotonic() + 10
    while any(place.exists() for place in places) and time.monotonic() < until:
        for controller in controllers():
            sweep(controller.place)
        time.sleep(0.01)  # until whoever inherited the killed process has looked at it
    assert not any(place.exists() for place in places)


def test_groups_are_removed_after_a_box() -> None:
    async def main() -> list[Path]:
        async with grouped(CAPS) as group:
            with group.run() as run:
                return [place for folders in (group.folders, run.folders) for _, place in folders]

    assert not any(place.exists() for place in anyio.run(main))


@needs_bwrap
def test_sandboxes_have_names() -> None:
    assert sandbox() == sandbox("bwrap") == Bwrap()
    assert sandbox("bwrap", env=["A"]).fingerprint != sandbox("bwrap").fingerprint
    assert isinstance(sandbox("none"), NoSandbox)
    assert "without a sandbox" in sandbox("none").problems()[0]


@pytest.mark.parametrize(("name", "said"), [("docker", "mini-swe-agent"), ("jail", "choose bwrap or none")])
def test_there_are_no_others(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        sandbox(name)


def test_without_bubblewrap_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    bubblewrap.cache_clear()
    try:
        with pytest.raises(UsageError, match=r"apt install bubblewrap.*--sandbox none"):
            sandbox()
        fake = tmp_path / "bwrap"
        fake.write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2; exit 1\n")
        fake.chmod(0o755)
        with pytest.raises(UsageError, match=r"No permissions to create new namespace.*--sandbox none"):
            sandbox()
    finally:
        bubblewrap.cache_clear()


@needs_bwrap
def test_an_older_bubblewrap_does_what_it_can(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, workspace: Path
) -> None:
    old, real = tmp_path / "old" / "bwrap", shutil.which("bwrap")
    old.parent.mkdir()
    unknown = '*" --size "*|*" --disable-userns "*) echo "Unknown option" >&2; exit 1'
    old.write_text(f'#!/bin/sh\ncase " $* " in {unknown};; esac\nexec {real} "$@"\n')
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old.parent}:{os.environ['PATH']}")
    bubblewrap.cache_clear()
    try:
        assert ran(workspace, "touch /dev/shm/x; echo ran").output == "ran\n"
        told = " ".join(Bwrap().problems())
        assert "user namespaces of their own" in told
        assert "/dev/shm" in told
    finally:
        bubblewrap.cache_clear()


def test_mounts_are_read_from_text(tmp_path: Path) -> None:
    assert mount_of(str(tmp_path)) == Mount(tmp_path, str(tmp_path))
    assert mount_of(f"{tmp_path}:rw") == Mount(tmp_path, str(tmp_path), writable=True)
    assert mount_of(f"{tmp_path}:/opt/data") == Mount(tmp_path, "/opt/data")
    assert mount_of(f"{tmp_path}:/opt/data:rw") == Mount(tmp_path, "/opt/data", writable=True)
    for text in ("", ":/x", f"{tmp_path}:x", f"{tmp_path}:/a:/b", f"{tmp_path}/gone", f"{tmp_path}:/a:ro"):
        with pytest.raises(UsageError, match=r"mount"):
            mount_of(text)


@needs_bwrap
def test_no_setting_of_the_kernel_can_be_written(workspace: Path) -> None:
    script = "for f in kernel/core_pattern kernel/panic vm/overcommit_memory fs/file-max; do "
    script += "( : >>/proc/sys/$f ) 2>/dev/null && echo open $f; done; echo done"
    assert ran(workspace, script).output == "done\n"


def test_of_etc_there_are_no_keys_and_no_credentials(tmp_path: Path) -> None:
    kept = [
        "ssl/certs/ca.pem",
        "pki/tls/certs/ca-bundle.crt",
        "java-17/security/java.security",
        "maven/m2.conf",
    ]
    kept += ["localtime", "pki/ca-trust/extracted/pem/tls.pem"]
    closed = ["ssl/private/own.key", "pki/tls/private/own.key", "pki/tls/certs/site.pem", "pip.conf", "npmrc"]
    closed += ["xdg/pip/pip.conf", "maven/settings.xml", "java-17/management/jmxremote.password", "pki/rpm/x"]
    closed += ["shadow", "krb5.keytab", "gitconfig", "ca-certificates/own"]
    for name in (*kept, *closed, "hosts"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "timezone").symlink_to("gone")
    for online in (False, True):
        shown = [(path, target) for path, target in etc(tmp_path / "made", online=online, host=tmp_path)]
        paths = [path for path, _ in shown]
        assert all(any((tmp_path / name).is_relative_to(path) for path in paths) for name in kept)
        assert not any((tmp_path / name).is_relative_to(path) for path in paths for name in closed)
        assert (tmp_path / "hosts" in paths) is online
        assert len({target for _, target in shown}) == len(shown)
        assert {f"/etc/{name}" for name in MADE} <= {target for _, target in shown}


@needs_bwrap
def test_programs_find_their_settings(workspace: Path) -> None:
    code = "import ssl; c = ssl.create_default_context(); print(len(c.get_ca_certs()) > 9)"
    certificates = Path("/etc/ssl/certs/ca-certificates.crt").exists()
    script = f"{sys.executable} -c '{code}'; git init -q . && echo git; ls /etc/ssl/private /etc/pip.conf"
    lines = ran(workspace, script).output.splitlines()
    assert lines[0] == "True" or not certificates
    assert "git" in lines
    assert sum("No such file" in line for line in lines) == 2
