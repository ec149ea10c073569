"""Grades by the official harness, which needs Docker: one run of it a rollout, and its report read back."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar, cast

import anyio

from tts import hostile
from tts.benches.swebench.instances import Truth
from tts.errors import Infra, UsageError
from tts.types import FREE, Budget, Grade, Rollout, Task, digest

MODEL = "tts"
REPORT_BYTES = 64 * 1024 * 1024

LISTS = (
    "resolved_ids",
    "unresolved_ids",
    "error_ids",
    "empty_patch_ids",
    "incomplete_ids",
    "infra_failure_ids",
)
"""The fields of a report that are read; each is a list of ids."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`dataset` is a name at Hugging Face or a file, `split` its part; `timeout`: seconds of one instance."""

    dataset: str
    split: str = "test"
    timeout: int = 1800


class HarnessGrader:
    """Resolves a rollout where `swebench.harness.run_evaluation` does.

    `truths` are by task id. The score is 1 for a resolved rollout, else 0.
    """

    bound: ClassVar[Budget] = FREE
    version: ClassVar[str] = "1"

    def __init__(self, truths: Mapping[str, Truth], settings: Settings) -> None:
        self._truths, self._settings = dict(truths), settings

    @property
    def fingerprint(self) -> str:
        """Versions of this and of swebench, the settings and the content of every truth."""
        told = [asdict(truth) for _, truth in sorted(self._truths.items())]
        return f"swebench-harness/{self.version}/{_swebench()}/{digest([told, asdict(self._settings)])[:16]}"

    async def grade(self, task: Task, rollout: Rollout) -> Grade:
        """Return the grade of one rollout.

        Raises:
            UsageError: the task has no truth here.
            Infra: the harness failed, or blames the machine.
        """
        if task.id not in self._truths:
            raise UsageError(f"no truth for task {task.id}")
        patch = rollout.patch or ""
        if not patch.strip():
            return Grade(rollout.key, outcome="empty patch", detail="empty patch")
        with tempfile.TemporaryDirectory(prefix="tts-harness-") as name:
            place, run_id = Path(name), f"tts-{digest([task.id, patch])[:12]}"
            prediction = {"instance_id": task.id, "model_name_or_path": MODEL, "model_patch": patch}
            line = json.dumps(prediction).encode("utf-8", "replace") + b"\n"
            await anyio.Path(place / "preds.jsonl").write_bytes(line)
            said = await self._evaluate(task.id, place, run_id)
            return read_grade(task.id, rollout.key, place, run_id, said)

    async def _evaluate(self, instance: str, place: Path, run_id: str) -> str:
        argv = [
            sys.executable,
            "-m",
            "swebench.harness.run_evaluation",
            *arguments(self._settings, instance, run_id),
        ]
        with anyio.move_on_after(self._settings.timeout + 3600):
            done = await anyio.run_process(argv, cwd=place, check=False, stderr=subprocess.STDOUT)
            said = done.stdout.decode(errors="replace")
            if done.returncode:
                raise Infra(f"the official harness failed: {hostile.line(said[-600:], 400)}")
            return said
        raise Infra(f"the official harness did not end within {self._settings.timeout + 3600} s")


def arguments(settings: Settings, instance: str, run_id: str) -> list[str]:
    """Return the harness's arguments for one instance, with `preds.jsonl` in the working directory."""
    dataset = Path(settings.dataset)
    return [
        *("--dataset_name", str(dataset.resolve()) if dataset.exists() else settings.dataset),
        *("--split", settings.split),
        *("--instance_ids", instance),
        *("--predictions_path", "preds.jsonl"),
        *("--max_workers", "1"),
        *("--timeout", str(settings.timeout)),
        *("--run_id", run_id),
        *("--report_dir", "."),
    ]


def read_grade(instance: str, key: str, place: Path, run_id: str, said: str = "") -> Grade:
    """Return the grade that the harness's files below `place` come to.

    Raises:
        Infra: there is no report of schema version 2, or it calls the failure one of the machine.
    """
    report = _json(place / f"{MODEL}.{run_id}.json")
    if report.get("schema_version") != 2:
        raise Infra(
            f"the official harness wrote no report of schema version 2: {hostile.line(said[-600:], 300)}"
        )
    lists = {name: cast("list[Any]", report.get(name) or []) for name in LISTS}
    reason = str(cast("dict[str, Any]", report.get("failure_reasons") or {}).get(instance, ""))
    logs = place / "logs" / "run_evaluation" / run_id / MODEL / instance
    if instance in lists["empty_patch_ids"]:
        return Grade(key, outcome="empty patch", detail="empty patch")
    if instance in lists["infra_failure_ids"]:
        raise Infra(
            f"{instance}: the official harness calls it a failure of the machine: {reason or 'no reason'}"
        )
    if instance in lists["error_ids"]:
        return _errored(instance, key, logs, reason)
    if instance not in [*lists["resolved_ids"], *lists["unresolved_ids"]]:
        raise Infra(f"{instance}: the official harness's report does not list it as graded")
    return _graded(instance, key, logs, resolved=instance in lists["resolved_ids"], reason=reason)


def _errored(instance: str, key: str, logs: Path, reason: str) -> Grade:
    """An instance without a report: its log says whether the patch or the time was at fault."""
    log = _text(logs / "run_instance.log")
    if ">>>>> Patch Apply Failed" in log:
        return Grade(key, outcome="patch does not apply", detail="the patch does not apply to the base")
    if "Test timed out after" in log or reason == "tests_timed_out":
        return Grade(key, outcome="timeout", detail="the tests took too long")
    last = hostile.line(log[-400:], 300)
    raise Infra(f"{instance}: the official harness ended in an error: {reason or last or 'no log'}")


def _graded(instance: str, key: str, logs: Path, *, resolved: bool, reason: str) -> Grade:
    told = cast("dict[str, Any]", _json(logs / "report.json").get(instance) or {})
    good, bad = _counts(told.get("tests_status"))
    counts = f"{bad} of {good + bad} listed tests fail" if good + bad else "no counts of tests"
    return Grade(
        key,
        resolved=resolved,
        score=float(resolved),
        outcome="resolved" if resolved else "unresolved",
        detail=hostile.line(counts + (f" (perhaps {reason})" if reason else ""), 500),
    )


def _counts(status: Any) -> tuple[int, int]:
    if not isinstance(status, dict):
        return 0, 0
    parts = [cast("dict[str, Any]", status).get(name, {}) for name in ("FAIL_TO_PASS", "PASS_TO_PASS")]
    return tuple(sum(len(part.get(side, ())) for part in parts) for side in ("success", "failure"))  # type: ignore[return-value]


def docker_answers(seconds: float = 5.0) -> bool:
    """Return whether a Docker engine answers here within some seconds."""
    program = shutil.which("docker")
    if program is None:
        return False
    try:
        done = subprocess.run(
            [program, "version", "--format", "{{.Server.Version}}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and bool(done.stdout.strip())


def unavailable(instances: Sequence[str]) -> str:
    """Return the line for somebody without Docker and without recipes."""
    some = ", ".join(instances[:3])
    return (
        f"no Docker engine answers, and there is no recipe for {some}: start Docker, or give --recipes FILE"
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_text(path) or "{}")
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(REPORT_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _swebench() -> str:
    try:
        return version("swebench")
    except PackageNotFoundError:
        return "none"
