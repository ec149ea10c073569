"""Grades real SWE-bench instances without Docker: nothing, the gold patch, and a patch that cheats.

    TTS_DATA=… python -m benchmarks.swebench_local --repos DIR [--only ID] [--json]

Reads `swebench_local/instances.jsonl` below TTS_DATA and takes each repository from a mirror below `--repos`
(or from GitHub without it). Four patches an instance: one that adds an unrelated file (unresolved), none at
all (empty patch), the gold patch (resolved), and the gold test list forged by a conftest that leaves with
`os._exit(0)` (unresolved).
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import anyio

from benchmarks.goals import Figure, report
from tts.benches.swebench.environment import Environments
from tts.benches.swebench.grader import LocalGrader
from tts.benches.swebench.instances import Row, Truth, load, task_of, truth_of
from tts.sandboxes.box import MIB, Caps
from tts.sandboxes.named import sandbox
from tts.types import Rollout

EXPECTED = {"no-op": "unresolved", "empty": "empty patch", "gold": "resolved", "trick": "unresolved"}


def added(path: str, text: str) -> str:
    """Return a patch that adds a file."""
    lines = text.splitlines()
    head = f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
    return f"{head}@@ -0,0 +1,{len(lines)} @@\n" + "".join(f"+{line}\n" for line in lines)


def trick(truth: Truth, base: Path) -> str:
    """Return the patch that fools the published grading: it prints passes and leaves before any test runs."""
    tests = [*truth.fail_to_pass, *truth.pass_to_pass]
    lines = [f"print({line!r})" for test in tests for line in (f"PASSED {test}", f"{test} ... ok")]
    text = "\n".join([*lines, "import os, sys", "sys.stdout.flush()", "os._exit(0)", ""])
    if not base.exists():
        return added("conftest.py", text)
    both = (base.read_text().splitlines(keepends=True), text.splitlines(keepends=True))
    return "".join(difflib.unified_diff(*both, "a/conftest.py", "b/conftest.py"))


async def graded(row: Row, repos: Path | None, place: Path) -> list[dict[str, object]]:
    """Return how each patch of an instance is graded, and how long that takes."""
    truth, task = truth_of(row), task_of(row, repos)
    inside = sandbox("bwrap", caps=Caps(output_bytes=64 * MIB))
    environments = Environments(place, inside)
    grader = LocalGrader({task.id: truth}, environments)
    patches = {"no-op": added("tts-nothing.txt", "nothing"), "empty": "", "gold": truth.patch}
    begun = time.perf_counter()
    assert truth.recipe is not None
    async with environments.open(task, truth.recipe) as env:
        prepared = time.perf_counter() - begun
        cheat = trick(truth, env.tree / "conftest.py")
    found: list[dict[str, object]] = []
    for name, patch in {**patches, "trick": cheat}.items():
        begun = time.perf_counter()
        grade = await grader.grade(task, Rollout(patch=patch))
        seconds = round(time.perf_counter() - begun, 1)
        told = {"outcome": grade.outcome, "score": round(grade.score, 3), "seconds": seconds}
        found.append({"instance": task.id, "patch": name, **told, "prepared": round(prepared, 1)})
        print(
            f"{task.id:28} {name:6} {grade.outcome:12} {seconds:6.1f} s   {grade.detail[:90]}",
            file=sys.stderr,
        )
    return found


def main(argv: Sequence[str]) -> int:
    """Grade, print a table and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repos", type=Path, help="mirrors: owner__name or owner/name, with or without .git")
    parser.add_argument("--only", action="append", default=[], help="an instance id; repeatable")
    parser.add_argument("--place", type=Path, help="keep the prepared environments here")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="the first instance only")
    flags = parser.parse_args(argv)
    if "TTS_DATA" not in os.environ:
        print("TTS_DATA is not set: it names the folder that holds swebench_local")
        return 0
    rows = load(str(Path(os.environ["TTS_DATA"], "swebench_local", "instances.jsonl")), "test")
    rows = [row for row in rows if not flags.only or row["instance_id"] in flags.only]
    with tempfile.TemporaryDirectory() as folder:
        found: list[dict[str, object]] = []
        for row in rows[:1] if flags.quick else rows:
            found += anyio.run(graded, row, flags.repos, flags.place or Path(folder))
    print(json.dumps(found) if flags.json else table(found))
    wrong = sum(EXPECTED[str(line["patch"])] != line["outcome"] for line in found)
    return report("swebench_local", [Figure("wrong outcomes", wrong, 0, kind="most")], as_json=flags.json)


def table(found: Sequence[dict[str, object]]) -> str:
    """Return a line per instance: seconds to prepare it, then each patch's outcome and seconds."""
    lines = [f"{'instance':28} {'prepared':>9}  " + "  ".join(f"{name:>20}" for name in EXPECTED)]
    for instance in dict.fromkeys(str(line["instance"]) for line in found):
        own = [line for line in found if line["instance"] == instance]
        cells = "  ".join(f"{line['outcome']} {line['seconds']} s".rjust(20) for line in own)
        lines.append(f"{instance:28} {own[0]['prepared']!s:>7} s  {cells}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
