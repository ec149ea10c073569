"""SWE-bench predictions, read and written: `preds.json` (an object or a list) and `all_preds.jsonl`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tts.errors import UsageError
from tts.formats.files import listed, mapping, parsed, replacing, shown
from tts.formats.recorded import Recorded, recorded
from tts.types import Rollout

FIELDS = ("instance_id", "model_name_or_path", "model_patch")


def is_preds(document: object) -> bool:
    """Whether a JSON document holds predictions: an object by id, a list, or a single one."""
    body = mapping(document)
    if "instance_id" in body and "model_patch" in body:
        return True
    entries = listed(document) or list(body.values())
    return bool(entries) and all("model_patch" in mapping(entry) for entry in entries)


def read(body: bytes, name: str) -> Iterator[Recorded]:
    """Return the predictions of a file's bytes, without trajectories; a null patch is an empty one.

    Raises:
        UsageError: it cannot be read, or has an instance twice.
    """
    seen: set[str] = set()
    for place, entry in _entries(body, name):
        task_id, patch = entry.get("instance_id"), entry.get("model_patch")
        if not isinstance(task_id, str) or not task_id:
            raise UsageError(
                f"{place}: `instance_id` is a name, as in {json.dumps(dict.fromkeys(FIELDS, '…'))}"
            )
        if patch is not None and not isinstance(patch, str):
            raise UsageError(f"{place}: `model_patch` is text or null")
        if task_id in seen:
            raise UsageError(f"{place}: {shown(task_id)} is there twice; a file has one prediction each")
        seen.add(task_id)
        yield _prediction(task_id, patch, entry)


def _prediction(task_id: str, patch: str | None, entry: Mapping[str, Any]) -> Recorded:
    model = entry.get("model_name_or_path")
    named = model if isinstance(model, str) else ""
    more = sorted(set(entry) - set(FIELDS))
    lost = (f"fields of predictions left out: {', '.join(map(shown, more[:5]))}",) if more else ()
    extra = {"model": named} if named else {}
    return recorded(task_id, Rollout(patch=patch or ""), (), agent=named, extra=extra, lost=lost)


def _entries(body: bytes, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if name.endswith(".jsonl"):
        for i, line in enumerate(body.splitlines(), start=1):
            if line.strip():
                yield f"{name}, line {i}", mapping(parsed(line, f"{name}, line {i}", unique=True))
        return
    document = parsed(body, name, unique=True)
    if "instance_id" in mapping(document) and "model_patch" in mapping(document):
        yield name, mapping(document)
    for i, entry in enumerate(listed(document), start=1):
        yield f"{name}, entry {i}", mapping(entry)
    if not ("instance_id" in mapping(document) and "model_patch" in mapping(document)):
        for key, entry in mapping(document).items():
            yield f"{name}, {shown(key)}", {"instance_id": key} | mapping(entry)


def write(path: Path, patches: Mapping[str, str | None], model_name: str) -> None:
    """Write predictions for the official harness: JSON lines where `path` ends in `.jsonl`, else an object.

    `patches` are by instance; None is written as an empty patch. Readers see the old file or
    the new one whole.
    """
    with replacing(path) as file:
        if path.name.endswith(".jsonl"):
            for task_id, patch in patches.items():
                file.write(line_of(task_id, patch, model_name) + b"\n")
        else:
            whole = {task_id: _entry(task_id, patch, model_name) for task_id, patch in patches.items()}
            file.write(json.dumps(whole, indent=2).encode() + b"\n")


def line_of(task_id: str, patch: str | None, model_name: str) -> bytes:
    """Return a prediction as a line of `all_preds.jsonl`."""
    return json.dumps(_entry(task_id, patch, model_name)).encode()


def _entry(task_id: str, patch: str | None, model_name: str) -> dict[str, str]:
    return {"model_name_or_path": model_name, "instance_id": task_id, "model_patch": patch or ""}
