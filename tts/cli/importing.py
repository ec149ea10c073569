"""`tts swebench import`: the attempts of others into a pool, for strategies to select among."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tts.cli.options import Json

if TYPE_CHECKING:
    from tts.formats.recorded import Recorded

EXAMPLES = """\b
Examples:
  tts swebench import runs/mini runs/mini-again -o pools/mini
  tts swebench import trajectories/ all_preds.jsonl log.eval -o pools/mixed --json
  tts swebench run --subset verified --split test --agent pool:pools/mini -s rtv@8 -o runs/chosen

\b
A source is a file or a folder: mini-swe-agent's output, SWE-agent's .traj, preds.json or all_preds.jsonl,
ATIF trajectories, Inspect's logs (.eval or .json). What it is, its content tells. Importing into a pool again
adds to it; a file that is in it already is passed over.
"""


def import_(
    sources: Annotated[list[Path], typer.Argument(metavar="SRC...", help="Files and folders of attempts.")],
    place: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The pool; made where there is none.")
    ],
    as_json: Json = False,
) -> None:
    """Read others' attempts into a pool.

    A pool is a folder: pool.jsonl, a line per attempt, and the trajectories. Scores, hidden tests and right
    patches in a source are not read. Attempts that a fault of the machine cut are told, not imported.
    """
    from tts.cli import console
    from tts.formats.pool import adding
    from tts.formats.sniff import Told, read

    told = Told()
    counts: dict[str, int] = {}
    tasks: set[str] = set()
    with adding(place) as pool:
        for found in read(sources, told, pool.has):
            sample = pool.add(found)
            _count(counts, found, sample)
            for sentence in found.lost:
                told.note(sentence)
            if sample is not None:
                tasks.add(found.task_id)
    if as_json:
        print(console.as_json(_document(place, pool.n_samples, len(tasks), counts, told.notes)), end="")
        return
    print(f"{pool.n_samples} attempts at {len(tasks)} tasks imported into {place}")
    for sentence in (*(f"{n} {name}" for name, n in counts.items()), *sentences(told.notes)):
        print(f"  {sentence}")


def _count(counts: dict[str, int], found: Recorded, sample: int | None) -> None:
    status = found.rollout.status
    name = {
        "infra": "not imported: a fault of the machine ended them",
        "cancelled": "not imported: they never came to an end",
    }.get(status, status)
    if sample is not None or status in ("infra", "cancelled"):
        counts[name] = counts.get(name, 0) + 1


def sentences(notes: dict[str, int]) -> list[str]:
    """Return notes as lines, with how often where that was more than once."""
    from tts.report.text import line

    return [line(f"{sentence} ({n} times)" if n > 1 else sentence, 300) for sentence, n in notes.items()]


def _document(
    place: Path, n_samples: int, n_tasks: int, counts: dict[str, int], notes: dict[str, int]
) -> dict[str, Any]:
    told = [{"told": sentence, "times": n} for sentence, n in notes.items()]
    return {"pool": str(place), "imported": n_samples, "tasks": n_tasks, "statuses": counts, "notes": told}
