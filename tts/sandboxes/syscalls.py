"""The system calls that a box refuses, as a filter that the kernel runs before each one.

Namespaces do not hold everything that the kernel shares. Closed here are key rings (those of the user's
session, with tickets and passwords), kinds of sockets that no network namespace holds in, such as those to a
virtual machine's host, and a few calls that ordinary programs can do without and that have often been a way
into the kernel. Programs are told that the kernel has no such call.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass

_LOAD, _EQUAL, _LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _MACHINE, _FIRST = 0, 4, 16
"""Where the call's number, its kind of machine and its first argument lie in what the filter is shown."""

_ERROR = 0x00050000
_ENDS = {
    "no socket": _ERROR | errno.EAFNOSUPPORT,
    "no call": _ERROR | errno.ENOSYS,
    "allow": 0x7FFF0000,
    "kill": 0x80000000,
}
"""What the filter may say, in the order in which it ends; what no line sends elsewhere comes to the first."""

_OTHER_ABI = 0x40000000
"""Calls from this number on are those of x32, a second set of the same calls."""

FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
"""The sockets that can be made: each is held by a namespace of the network, or is a file."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A kind of processor: its name in the kernel's audit, and its numbers for the calls."""

    audit: int
    socket: int
    refused: Sequence[int]


MACHINES = {
    "x86_64": Machine(0xC000003E, 41, (248, 249, 250, 298, 304, 321, 323, 425)),
    "aarch64": Machine(0xC00000B7, 198, (217, 218, 219, 241, 265, 280, 282, 425)),
}
"""Refused are, in this order: add_key, request_key, keyctl, perf_event_open, open_by_handle_at, bpf,
userfaultfd, io_uring_setup."""


def program(machine: Machine) -> bytes:
    """Return the filter in classic BPF: instructions of a code, two jumps (how many to pass) and a value.

    A call by another set of numbers, such as that of 32-bit programs, ends its process: what is refused here
    must not be had there.
    """
    lines = [
        (_LOAD, _MACHINE, "", ""),
        (_EQUAL, machine.audit, "", "kill"),
        (_LOAD, _NUMBER, "", ""),
        (_LEAST, _OTHER_ABI, "no call", ""),
        *((_EQUAL, number, "no call", "") for number in machine.refused),
        (_EQUAL, machine.socket, "", "allow"),
        (_LOAD, _FIRST, "", ""),
        *((_EQUAL, family, "allow", "") for family in FAMILIES),
        *((_RETURN, value, "", "") for value in _ENDS.values()),
    ]
    first = len(lines) - len(_ENDS)
    ends = {name: first + i for i, name in enumerate(_ENDS)}
    packed = (
        struct.pack("=HBBI", code, *(ends.get(name, i + 1) - i - 1 for name in jumps), value)
        for i, (code, value, *jumps) in enumerate(lines)
    )
    return b"".join(packed)


def refusing() -> bytes:
    """Return the filter for this machine, empty where there is none for it."""
    machine = MACHINES.get(os.uname().machine) if sys.maxsize > 2**32 else None
    return program(machine) if machine else b""
