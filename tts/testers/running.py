"""Runs tests in a box, by the driver, and reads how each ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import get_args

from tts.errors import Infra
from tts.hostile import clean
from tts.sandboxes.box import Box, Order, Ran
from tts.suites import TestCase, TestOutcome, TestStatus

MOST_CASES = 200
"""So many tests of one suite are run, the first ones."""

KEPT_CHARS = 2_000
"""What is kept of a test's output: its end."""

MISSING = (126, 127)
"""What a shell returns where a program is not there, or cannot be run."""

GRACE_SECONDS = 10.0


@cache
def driver() -> str:
    """Return the driver's text."""
    return (Path(__file__).parent / "driver.py").read_text(encoding="utf-8")


async def run_cases(
    box: Box,
    cases: Sequence[TestCase],
    *,
    program: str = "",
    python: str = "python3",
    seconds: float = 30.0,
    network: bool = False,
) -> list[TestOutcome]:
    """Return how each test ended, one after another, each within `seconds`; the name is the test's number.

    Raises:
        Infra: the box could not be started, or its Python.
    """
    listed = [{"code": c.code, "path": c.path, "command": c.command} for c in cases[:MOST_CASES]]
    asked = {"cases": listed, "program": program, "seconds": seconds, "size": KEPT_CHARS}
    most = GRACE_SECONDS + (seconds + 1) * len(listed)
    order = Order(
        (python, "-B", "-c", driver()),
        stdin=json.dumps(asked).encode("utf-8", "replace"),
        seconds=most,
        network=network,
        apart=True,
    )
    ran = await box.run(order)
    told = _told(ran)
    if not told and ran.returncode in MISSING:  # all else may be the work of what is tested
        raise Infra(f"the tests could not be run by {python}: {clean(ran.errors).strip()[-300:]}")
    lost = TestOutcome("", "timeout" if ran.ended == "timeout" else "error", f"stopped: {ran.ended}")
    return [
        TestOutcome(str(i), *told[i]) if i < len(told) else TestOutcome(str(i), lost.status, lost.output)
        for i in range(len(listed))
    ]


def _told(ran: Ran) -> list[tuple[TestStatus, str]]:
    """Return what the driver's lines say, up to the first that is none."""
    found: list[tuple[TestStatus, str]] = []
    for line in ran.output.splitlines():
        try:
            row = json.loads(line)
            known = {status: status for status in get_args(TestStatus)}
            found.append((known[row["status"]], clean(str(row["output"]))))
        except (ValueError, KeyError, TypeError):
            break
    return found
