"""Measures which tests fail at each base commit; `python -m tts.demo.failing` writes `failing.json`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import anyio

from tts.demo.dataset import CORPUS, FAILING, HIDDEN, Bug, all_tests, bugs
from tts.demo.grader import LIMITS
from tts.demo.harness import Harness, Report, warm_tests


async def measure(harness: Harness, corpus: Path = CORPUS) -> dict[str, list[str]]:
    """Return, per instance id, the tests that fail at the base commit, hidden ones included."""
    return {bug.id: await _failing(harness, bug) for bug in bugs(corpus)}


async def _failing(harness: Harness, bug: Bug) -> list[str]:
    report = await run_all(harness, bug, correct=False)
    return [outcome.id for outcome in report.outcomes if not outcome.passed]


async def run_all(harness: Harness, bug: Bug, *, correct: bool) -> Report:
    """Return how all tests, hidden ones included, end on the correct code or on that of the base commit."""
    with tempfile.TemporaryDirectory(prefix="tts-demo-") as folder:
        place = Path(folder)
        for name, text in {**(bug.correct if correct else bug.base), HIDDEN: bug.hidden}.items():
            path = place / name
            await anyio.Path(path.parent).mkdir(parents=True, exist_ok=True)
            await anyio.Path(path).write_text(text, encoding="utf-8")
        return await harness.run(place, all_tests(bug), limits=LIMITS)


async def _main() -> None:
    async with warm_tests() as harness:
        text = json.dumps(await measure(harness), indent=1, sort_keys=True)
    await anyio.Path(FAILING).write_text(text + "\n")


if __name__ == "__main__":
    anyio.run(_main)
