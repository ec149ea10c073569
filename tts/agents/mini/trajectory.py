"""The `.traj.json` of an attempt: in a place of its own, whole at every moment, and without keys."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tts.formats.names import escaped
from tts.models.secrets import scrubbed

FORMAT = "mini-swe-agent-1.1"
SUFFIX = ".traj.json"


@dataclass(frozen=True, slots=True)
class Trajectory:
    """Where a trajectory goes (None: nowhere), and what is noted in it beside mini-swe-agent's own."""

    path: Path | None
    note: Mapping[str, Any]

    def write(self, data: Mapping[str, Any]) -> None:
        """Write the file, in one go."""
        if self.path is None:
            return
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        draft.write_text(json.dumps(_scrubbed(data), indent=2), encoding="utf-8")
        draft.replace(self.path)


def trajectory(folder: Path | None, task_id: str, index: int, seed: int) -> Trajectory:
    """Return an attempt's trajectory `<folder>/<task id>/<index>.traj.json`, and take that place.

    Where it belongs to an attempt with another seed, the first eight hex digits of the seed are in the name.
    """
    note = {"instance_id": task_id, "info": {"tts": {"index": index, "seed": seed}}}
    if folder is None:
        return Trajectory(None, note)
    place = folder / escaped(task_id)
    place.mkdir(parents=True, exist_ok=True)
    stub: dict[str, Any] = {**note, "messages": [], "trajectory_format": FORMAT}
    plain = place / f"{index}{SUFFIX}"
    own = place / f"{index}-{f'{seed:015x}'[:8]}{SUFFIX}"
    return Trajectory(plain if _taken(plain, stub, seed) else own, note)


def _taken(path: Path, stub: Mapping[str, Any], seed: int) -> bool:
    """Whether the place is the attempt's: nobody had it, or the attempt itself in an earlier try."""
    try:
        with path.open("x", encoding="utf-8") as file:
            json.dump(stub, file)
    except FileExistsError:
        return _seed_of(path) == seed
    return True


def _seed_of(path: Path) -> object:
    found: Any = None
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
    for name in ("info", "tts", "seed"):
        found = cast("Mapping[str, Any]", found).get(name) if isinstance(found, dict) else None
    return found


def _scrubbed(value: Any) -> Any:
    """Return a JSON value whose texts hold no key."""
    if isinstance(value, str):
        return scrubbed(value)
    if isinstance(value, Mapping):
        return {key: _scrubbed(inner) for key, inner in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_scrubbed(inner) for inner in cast("list[Any]", value)]
    return value
