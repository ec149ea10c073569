"""A folder for the SWE-bench leaderboard: `evaluation/<split>/<date>_<name>/`, as its maintainers ask."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tts.errors import UsageError
from tts.formats import atif
from tts.formats.files import replacing, write_json
from tts.formats.names import escaped
from tts.formats.preds import line_of
from tts.formats.recorded import Recorded

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}")
_DATE = re.compile(r"\d{8}")


@dataclass(frozen=True, slots=True)
class Entry:
    """What a submission is called. `date` is YYYYMMDD; `n_attempts` the most attempts at one task.

    `model` names what makes the patches, as it stands in the predictions; `how` says in a sentence how one
    attempt was chosen.
    """

    split: str
    date: str
    name: str
    model: str
    n_attempts: int = 1
    how: str = ""

    def folder(self, root: Path) -> Path:
        """Return where it goes below `root`.

        Raises:
            UsageError: a part of it is no file name.
        """
        for what, value, form in (("split", self.split, _NAME), ("date", self.date, _DATE)):
            if not form.fullmatch(value):
                raise UsageError(f"a submission's {what} is such as verified or 20260131, not {value!r}")
        if not _NAME.fullmatch(self.name):
            raise UsageError(f"a submission's name is letters, digits, `_`, `-` and `.`, not {self.name!r}")
        return root / "evaluation" / self.split / f"{self.date}_{self.name}"


def write(root: Path, entry: Entry, winners: Iterable[tuple[str, Recorded | None]]) -> tuple[int, int]:
    """Write a submission of one attempt per task, None where a task has none; one in memory at a time.

    Return how many predictions and how many trajectories were written. `logs/` stays empty: the official
    harness fills it.

    Raises:
        UsageError: the entry's name is no file name.
    """
    folder = entry.folder(root)
    for name in ("logs", "trajs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    n_predictions = n_trajectories = 0
    with replacing(folder / "all_preds.jsonl") as file:
        for task_id, found in winners:
            file.write(line_of(task_id, found.rollout.patch if found else None, entry.model) + b"\n")
            n_predictions += 1
            if found is not None:
                write_json(folder / "trajs" / f"{escaped(task_id)}.json", atif.document(found))
                n_trajectories += 1
    for name, text in (("metadata.yaml", metadata(entry)), ("README.md", readme(entry))):
        if not (folder / name).exists():
            with replacing(folder / name) as file:
                file.write(text.encode())
    return n_predictions, n_trajectories


def metadata(entry: Entry) -> str:
    """Return `metadata.yaml`; what only its authors know is left empty for them."""
    return f"""\
assets:
  logs: ""
  trajs: ""
info:
  name: {json.dumps(entry.name)}
  authors: ""
  logo: ""
  report: ""
  site: ""
tags:
  checked: false
  model:
    - {json.dumps(entry.model)}
  org: ""
  os_model: null
  os_system: null
  system:
    attempts: {json.dumps("1" if entry.n_attempts == 1 else "2+")}
"""


def readme(entry: Entry) -> str:
    """Return `README.md`: what the run itself knows, and the check-list, of which nothing is ticked."""
    attempts = "one attempt" if entry.n_attempts == 1 else f"up to {entry.n_attempts} attempts"
    return f"""\
# {entry.name}

Predictions of {entry.model} on SWE-bench, split {entry.split}:
{attempts} at each instance, one patch handed in.

{entry.how}

To be written: a description of the system or a link to it, its authors, and the report of the official
harness (`python -m analysis.get_results` prints it once `logs/` holds the evaluation of each instance).

## Check-list

- [ ] It is a pass@1 submission: it hands in one patch, and chose it without running the hidden tests.
- [ ] It does not use `PASS_TO_PASS` or `FAIL_TO_PASS`.
- [ ] It does not use `hints_text`.
- [ ] It has no web access, or cannot look up solutions with it.
"""
