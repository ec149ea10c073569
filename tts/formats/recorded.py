"""An attempt that somebody else made, as every format reads and writes it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, cast

from pydantic import ValidationError

from tts.errors import UsageError
from tts.records import adapter
from tts.types import Rollout, Step, Usage

TRUTHS = frozenset(
    [
        "correct",
        "eval_report",
        "expected",
        "fail_to_pass",
        "gold",
        "gold_patch",
        "grade",
        "graded",
        "grades",
        "hints_text",
        "is_resolved",
        "pass_to_pass",
        "patch",
        "reductions",
        "report",
        "resolved",
        "resolved_ids",
        "reward",
        "rewards",
        "score",
        "scores",
        "target",
        "test_patch",
        "tests_status",
        "verifier_result",
    ]
)
"""Names, in lower case, under which others keep what only a grader may know."""

SECRETS = re.compile(r"(api_?key|password|secret|access_token|auth_token|authorization)\Z", re.IGNORECASE)
"""The ends of the names under which keys stand in configurations."""

OURS = "tts"
"""The key under which our own extras stand in the formats of others."""

_ABOUT = ("status", "answer", "patch", "usage", "seconds", "length", "thought", "signals", "error")


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recorded attempt.

    `rollout` has what the attempt came to; its key, priors and iteration are empty. `agent` names who made
    it. `extra` holds JSON values that the source had and our nouns do not, such as `model`, `prompt` (the
    messages before the first step) and `exit_status`. `lost` says in short sentences what could not be kept.
    `source` is a digest of the file that it was read from, empty when it was not.
    """

    task_id: str
    sample: int = 0
    rollout: Rollout = field(default_factory=Rollout)
    steps: tuple[Step, ...] = ()
    agent: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    lost: tuple[str, ...] = ()
    source: str = ""


def recorded(
    task_id: str, rollout: Rollout, steps: Sequence[Step], *, sample: int = 0, agent: str = "", **more: Any
) -> Recorded:
    """Return a recorded attempt whose rollout holds what it came to, and what follows from its steps."""
    about = {name: getattr(rollout, name) for name in _ABOUT}
    trace_bytes = sum(step.n_bytes for step in steps)
    whole = Rollout(task_id=task_id, index=sample, n_steps=len(steps), trace_bytes=trace_bytes, **about)
    return Recorded(task_id, sample, whole, tuple(steps), agent, **more)


def usage_json(usage: Usage) -> dict[str, Any]:
    """Return a usage as JSON, zeroes left out."""
    return {name: value for name, value in asdict(usage).items() if value}


def about_json(found: Recorded) -> dict[str, Any]:
    """Return as JSON what of an attempt no foreign format has a place for; its steps are left out."""
    rollout = {name: getattr(found.rollout, name) for name in _ABOUT}
    rollout["usage"] = usage_json(found.rollout.usage)
    rollout["signals"] = dict(found.rollout.signals)
    blank: dict[str, Any] = {name: getattr(Rollout(), name) for name in _ABOUT}
    blank |= {"usage": {}, "signals": {}}
    kept = {name: value for name, value in rollout.items() if value != blank[name]}
    return {"task_id": found.task_id, "sample": found.sample, "agent": found.agent, "rollout": kept}


def step_json(step: Step) -> dict[str, Any]:
    """Return as JSON what of a step no foreign format has an exact place for."""
    kept: dict[str, Any] = {"usage": usage_json(step.usage), "seconds": step.seconds, "at": step.at}
    return {name: value for name, value in kept.items() if value}


def read_about(block: Mapping[str, Any], steps: Sequence[Step], place: str) -> Recorded:
    """Return the attempt of `about_json`, with the steps.

    Raises:
        UsageError: it cannot be read; the message begins with `place`.
    """
    body = block.get("rollout")
    rollout: Rollout = _valid(Rollout, _only(body, _ABOUT), place)
    if not _sound(rollout.usage) or not _finite(rollout.seconds, rollout.length or 0.0):
        raise UsageError(f"{place}: usage, seconds and length are finite numbers of 0 or more")
    signals = {k: x for k, x in rollout.signals.items() if math.isfinite(x) and k.lower() not in TRUTHS}
    task_id, sample, agent = block.get("task_id"), block.get("sample", 0), block.get("agent", "")
    if not (isinstance(task_id, str) and isinstance(agent, str) and type(sample) is int and sample >= 0):
        raise UsageError(f"{place}: `task_id` and `agent` are text and `sample` is a number from 0")
    return recorded(task_id, replace(rollout, signals=signals), steps, sample=sample, agent=agent)


def read_step(step: Step, block: object, place: str) -> Step:
    """Return the step with what `step_json` kept of it.

    Raises:
        UsageError: it cannot be read; the message begins with `place`.
    """
    body = _only(block, ("usage", "seconds", "at"))
    found: Step = _valid(Step, body, place)
    if not _sound(found.usage) or not _finite(found.seconds, found.at):
        raise UsageError(f"{place}: a step's usage and times are finite numbers of 0 or more")
    return replace(step, **{name: getattr(found, name) for name in body})


def without_truth(value: Any) -> Any:
    """Return a JSON value without what only a grader may know, and without keys to services, at any depth."""
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value).items()
        return {k: without_truth(x) for k, x in entries if not _is_private(k)}
    return [without_truth(x) for x in cast("list[object]", value)] if isinstance(value, list) else value


def _is_private(name: str) -> bool:
    return name.lower() in TRUTHS or SECRETS.search(name) is not None


def rest_of(total: Usage, steps: Iterable[Step]) -> Usage:
    """Return what of a usage belongs to no step."""
    return total.less(sum((step.usage for step in steps), Usage()))


def _only(block: object, names: Sequence[str]) -> dict[str, Any]:
    given = cast("dict[str, Any]", block) if isinstance(block, dict) else {}
    return {name: given[name] for name in names if name in given}


def _valid(returns: type[Any], body: Mapping[str, Any], place: str) -> Any:
    try:
        return adapter(cast(Any, returns)).validate_python(dict(body))
    except (ValidationError, RecursionError) as error:
        told = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": "too deep"}
        where = ".".join(map(str, told["loc"]))
        raise UsageError(f"{place}: `{OURS}.{where}` cannot be read: {told['msg']}") from None


def _sound(usage: Usage) -> bool:
    return _finite(*(getattr(usage, f.name) for f in fields(usage)))


def _finite(*numbers: float) -> bool:
    return all(0 <= n < math.inf for n in numbers)
