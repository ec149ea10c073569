"""What a box refuses of the kernel itself, tried inside a box and by reading the filter."""

from __future__ import annotations

import errno
import json
import os
import shutil
import struct
import sys
from pathlib import Path

import anyio
import pytest

from tts.sandboxes.box import Order
from tts.sandboxes.bwrap import Bwrap
from tts.sandboxes.preflight import bubblewrap
from tts.sandboxes.syscalls import FAMILIES, MACHINES, Machine, program, refusing

needs_filter = pytest.mark.skipif(
    shutil.which("bwrap") is None or not refusing(),
    reason="no bubblewrap, or no filter, is there",
)

ASK = """
import ctypes, json, mmap, os, socket, sys
c = ctypes.CDLL(None, use_errno=True)
def said(number):
    ctypes.set_errno(0)
    c.syscall(number, 0, 0, 0, 0, 0, 0)
    return ctypes.get_errno()
def opened(family):
    try:
        socket.socket(family, socket.SOCK_STREAM).close()
    except OSError as error:
        return error.errno
    return 0
def by_other_numbers():
    if os.uname().machine != "x86_64":
        return 31
    child = os.fork()
    if not child:
        place = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        place.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20; int 0x80; ret
        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(place)))()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
refused, families = json.loads(sys.argv[1])
print(json.dumps([[said(n) for n in refused], [opened(f) for f in families], -abs(by_other_numbers())]))
"""


@needs_filter
@pytest.mark.parametrize("network", [False, True])
def test_a_box_has_no_key_rings_and_no_sockets_to_the_host_of_a_virtual_machine(
    tmp_path: Path, network: bool
) -> None:
    (workspace := tmp_path / "tree").mkdir()
    asked = json.dumps([MACHINES[os.uname().machine].refused, [40, 38, 1, 2]])

    async def main() -> str:
        async with Bwrap().open(workspace) as box:
            argv = [sys.executable, "-c", ASK, asked]
            return (await box.run(Order(argv, seconds=20, network=network))).output

    calls, sockets, other = json.loads(anyio.run(main))
    assert set(calls) == {errno.ENOSYS}
    assert sockets == [errno.EAFNOSUPPORT, errno.EAFNOSUPPORT, 0, 0]
    assert other == -31, "32-bit calls end their process"


def answer(rules: bytes, audit: int, number: int, argument: int = 0) -> int:
    """What a filter says of a call, by the four instructions that it is made of."""
    lines = [struct.unpack_from("=HBBI", rules, at) for at in range(0, len(rules), 8)]
    seen = struct.pack("=IIQQ", number, audit, 0, argument)
    held, at = 0, 0
    while True:
        code, yes, no, value = lines[at]
        if code == 0x06:
            return int(value)
        if code == 0x20:
            (held,) = struct.unpack_from("=I", seen, value)
        holds = {0x20: False, 0x15: held == value, 0x35: held >= value}[code]
        at += 1 + (yes if holds else no)


@pytest.mark.parametrize("machine", MACHINES.values(), ids=list(MACHINES))
def test_the_filter_says_what_it_is_to_say(machine: Machine) -> None:
    rules, no_call, no_socket, allow = program(machine), 0x50000 | 38, 0x50000 | 97, 0x7FFF0000
    others = set(range(500)) - {*machine.refused, machine.socket}
    assert {answer(rules, machine.audit, n) for n in machine.refused} == {no_call}
    assert {answer(rules, machine.audit, n) for n in others} == {allow}
    found = {f for f in range(64) if answer(rules, machine.audit, machine.socket, f) == allow}
    assert found == {int(family) for family in FAMILIES}
    assert answer(rules, machine.audit, machine.socket, 40) == no_socket
    assert answer(rules, machine.audit, 0x40000000 | machine.socket, 1) == no_call
    assert answer(rules, 0x40000003, machine.socket, 1) == 0x80000000


@needs_filter
def test_a_machine_without_a_filter_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tts.sandboxes.preflight.refusing", lambda: b"")
    bubblewrap.cache_clear()
    try:
        assert bubblewrap().filter == b""
        assert "key rings" in " ".join(Bwrap().problems())
    finally:
        bubblewrap.cache_clear()
