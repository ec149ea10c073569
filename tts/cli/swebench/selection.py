"""Which instances of which data set a run is of, kept beside the run without anything a grader knows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tts.errors import UsageError
from tts.formats.files import write_json
from tts.report.text import line

FILE = "swebench.json"


@dataclass(frozen=True, slots=True)
class Selection:
    """What `--subset`, `--split`, `--filter`, `--slice` and `--shuffle` say; as in mini-swe-agent."""

    subset: str = "lite"
    split: str = "dev"
    filter: str = ""
    slice: str = ""
    shuffle: bool = False

    def but(self, **given: Any) -> Selection:
        """Return it with what was given on the command line, None: not given; a path becomes absolute."""
        from tts.benches.swebench.instances import DATASETS

        said = {name: value for name, value in given.items() if value is not None}
        if "subset" in said and said["subset"] not in DATASETS and Path(said["subset"]).exists():
            said["subset"] = str(Path(said["subset"]).resolve())
        return replace(self, **said)

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """Return the chosen instances, the truth among their fields.

        Raises:
            UsageError: the data set cannot be read, or nothing of it is chosen.
        """
        from tts.benches.swebench.instances import chosen

        return chosen(self.all_rows(), filter=self.filter, slice=self.slice, shuffle=self.shuffle)

    def all_rows(self) -> Sequence[Mapping[str, Any]]:
        """Return all instances of the split.

        Raises:
            UsageError: the data set cannot be read.
        """
        from tts.benches.swebench.instances import load

        return load(self.subset, self.split)


def remembered(place: Path) -> Selection | None:
    """Return the selection of the run in a folder, None where none is kept.

    Raises:
        UsageError: what is there is not ours.
    """
    path = place / FILE
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Selection(**{name: kept[name] for name in Selection.__dataclass_fields__})
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UsageError(f"{line(str(path))} is not what `tts swebench run` writes; move it away") from None


def remember(place: Path, selection: Selection) -> None:
    """Keep the selection of the run in a folder; what is there is replaced as a whole."""
    write_json(place / FILE, asdict(selection))


def selection_of(place: Path, **given: Any) -> Selection:
    """Return what the run in a folder is of, with what the command line says now.

    Where it names the subset again, it says anew what of it is chosen; else that is kept.

    Raises:
        UsageError: the run there is of another subset or split.
    """
    kept = remembered(place)
    if kept is None:
        return Selection().but(**given)
    base = kept if given.get("subset") is None else Selection(kept.subset, kept.split)
    asked = base.but(**given)
    if (kept.subset, kept.split) != (asked.subset, asked.split):
        raise UsageError(
            f"{line(str(place))} holds a run of {line(kept.subset)}, split {kept.split}: "
            f"another -o is needed for {line(asked.subset)}, split {asked.split}"
        )
    return asked
