"""ATIF trajectories (Harbor's interchange format): read from 1.x, written as v1.8."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

from tts.errors import UsageError
from tts.formats import atif_schema as schema
from tts.formats.files import count, listed, mapping, number, shown, text_of
from tts.formats.names import unescaped
from tts.formats.recorded import (
    OURS,
    Recorded,
    about_json,
    read_about,
    read_step,
    recorded,
    step_json,
    without_truth,
)
from tts.types import Rollout, Step, Usage

FUNCTION = "bash"
"""The function under which a step's action is written; its one argument is `command`."""

_KEPT = ("session_id", "trajectory_id", "notes", "continued_trajectory_ref")
_AGENT = ("version", "model_name", "tool_definitions", "extra")


def is_atif(document: object) -> bool:
    """Whether a JSON document is an ATIF trajectory."""
    return str(mapping(document).get("schema_version", "")).startswith("ATIF-v1")


def read(document: Mapping[str, Any], path: PurePath) -> Recorded:
    """Return the attempt of a trajectory; `path` tells the task's id where the document does not.

    Fields that the format does not name are passed over. A step's message and reasoning are its thought.

    Raises:
        UsageError: it cannot be read.
    """
    told = [mapping(step) for step in listed(document.get("steps"))]
    lost = _losses(document, told)
    start = next((i for i, step in enumerate(told) if _begins(step)), len(told))
    steps = [one for step in told[start:] if not _is_blank(step) for one in _steps(step, path.name)]
    extra = _extra(document, told[:start])
    more = mapping(document.get("extra"))
    ours = mapping(more.get(OURS))
    if ours:
        found = read_about(ours, steps, path.name)
        return replace(
            found, extra=without_truth(mapping(ours.get("extra"))) | _prompt(told[:start]), lost=tuple(lost)
        )
    agent = mapping(document.get("agent"))
    rollout = Rollout(usage=_total(document, steps), patch=_patch(more), seconds=_seconds(told))
    return recorded(
        _named(document, more, path),
        rollout,
        steps,
        agent=" ".join(filter(None, [text_of(agent.get("name")), text_of(agent.get("model_name"))])),
        extra=extra,
        lost=tuple(lost),
    )


def document(found: Recorded) -> dict[str, Any]:
    """Return an attempt as an ATIF v1.8 document; what it has no place for stands in `extra.tts`.

    Raises:
        UsageError: it does not satisfy the format; a fault of what was given as its extras.
    """
    extra = dict(found.extra)
    prompt = [mapping(message) for message in listed(extra.pop("prompt", None))]
    agent = mapping(extra.get("agent"))
    steps: list[dict[str, Any]] = [_message(message) for message in prompt]
    steps += [_written(step, i) for i, step in enumerate(found.steps)]
    if not steps:
        steps = [{"source": "system", "message": "No trajectory was recorded.", "extra": {OURS: "blank"}}]
    root = {name: extra[name] for name in _KEPT if isinstance(extra.get(name), str)}
    body: dict[str, Any] = {
        "schema_version": schema.VERSION,
        "session_id": f"{found.task_id}/{found.sample}",
        **root,
        "agent": {
            "name": found.agent or "unknown",
            "version": text_of(agent.get("version")) or "unknown",
            "model_name": extra["model"] if isinstance(extra.get("model"), str) else None,
        },
        "steps": [{"step_id": i, **step} for i, step in enumerate(steps, start=1)],
        "final_metrics": _final(found.rollout.usage, len(steps)),
        "extra": {OURS: about_json(found) | {"extra": extra}},
    }
    return checked(body)


def checked(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document in the format's own order of fields, without those that are null.

    Raises:
        UsageError: it does not satisfy ATIF v1.8.
    """
    try:
        return schema.Trajectory.model_validate(dict(body)).model_dump(mode="json", exclude_none=True)
    except ValidationError as error:
        told = error.errors()[0]
        where = ".".join(map(str, told["loc"]))
        raise UsageError(f"no {schema.VERSION}: {where}: {told['msg']}") from None


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the step of a message before the first turn; what ATIF has no source for becomes the user's."""
    role = message.get("role")
    source = role if role in ("system", "user") else "user"
    told: dict[str, Any] = {"prompt": True} if source == role else {"prompt": True, "role": role}
    return {"source": source, "message": text_of(message.get("content")), "extra": {OURS: told}}


def _written(step: Step, i: int) -> dict[str, Any]:
    body: dict[str, Any] = {"source": "agent", "message": step.thought, "extra": {OURS: step_json(step)}}
    if step.at and (moment := _moment(step.at)):
        body["timestamp"] = moment
    call_id = f"call_{i}" if step.action else None
    if call_id is not None:
        arguments = {"command": step.action}
        body["tool_calls"] = [{"tool_call_id": call_id, "function_name": FUNCTION, "arguments": arguments}]
    if step.observation or step.returncode is not None:
        result: dict[str, Any] = {"source_call_id": call_id, "content": step.observation}
        if step.returncode is not None:
            result["extra"] = {"returncode": step.returncode}
        body["observation"] = {"results": [result]}
    if step.usage.calls or step.usage.tokens or step.usage.known_usd:
        body["metrics"] = _metrics(step.usage)
    if step.usage.calls:
        body["llm_call_count"] = step.usage.calls
    return body


def _metrics(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_input_tokens,
        "cost_usd": usage.usd,
    }


def _final(usage: Usage, n_steps: int) -> dict[str, Any]:
    totals = {f"total_{name}": value for name, value in _metrics(usage).items()}
    return totals | {"total_steps": n_steps}


def _moment(at: float) -> str | None:
    try:
        return datetime.fromtimestamp(at, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return None


def _begins(step: Mapping[str, Any]) -> bool:
    return step.get("source") == "agent" or _is_blank(step)


def _is_blank(step: Mapping[str, Any]) -> bool:
    return mapping(step.get("extra")).get(OURS) == "blank"


def _steps(step: Mapping[str, Any], place: str) -> list[Step]:
    """Return one step per action; results go to the action that they name, others to the first."""
    message = text_of(step.get("message"))
    calls = [mapping(call) for call in listed(step.get("tool_calls"))]
    results = [mapping(r) for r in listed(mapping(step.get("observation")).get("results"))]
    at = _time(step.get("timestamp"))
    if step.get("source") != "agent":
        heard = [message, *(text_of(r.get("content")) for r in results)]
        return [Step(observation="\n".join(text for text in heard if text), at=at)]
    ids = [call.get("tool_call_id") for call in calls] or [None]
    heard_of: dict[int, list[Mapping[str, Any]]] = {}
    for result in results:
        named = result.get("source_call_id")
        heard_of.setdefault(ids.index(named) if named in ids else 0, []).append(result)
    thought = "\n\n".join(filter(None, [text_of(step.get("reasoning_content")), message]))
    found = [
        Step(action=_action(call), at=at, **_heard(heard_of.get(i, ())))
        for i, call in enumerate(calls or [{}])
    ]
    found[0] = replace(found[0], thought=thought, usage=_usage(step))
    ours = mapping(step.get("extra")).get(OURS)
    return [read_step(replace(found[0], at=0.0, usage=Usage()), ours, place)] if ours is not None else found


def _heard(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the observation of an action; a return code only where exactly one was captured."""
    codes = [mapping(r.get("extra")).get("returncode") for r in results]
    known = [code for code in codes if isinstance(code, int) and not isinstance(code, bool)]
    text = "\n".join(text_of(r.get("content")) for r in results)
    return {"observation": text, "returncode": known[0] if len(known) == len(codes) == 1 else None}


def _action(call: Mapping[str, Any]) -> str:
    """Return a tool call as text: a command as it is, another as its name and arguments."""
    arguments = mapping(call.get("arguments"))
    commands = [x for name, x in arguments.items() if name in ("command", "cmd", "code", "keystrokes")]
    if len(commands) == len(arguments) == 1 and isinstance(commands[0], str):
        return commands[0]
    name = text_of(call.get("function_name"))
    return f"{name} {json.dumps(arguments, ensure_ascii=False)}" if name or arguments else ""


def _usage(step: Mapping[str, Any]) -> Usage:
    told = mapping(step.get("metrics"))
    calls = count(step.get("llm_call_count", 1 if told else 0))
    cost = told.get("cost_usd")
    return Usage(
        calls=calls,
        input_tokens=count(told.get("prompt_tokens")),
        cached_input_tokens=count(told.get("cached_tokens")),
        output_tokens=count(told.get("completion_tokens")),
        known_usd=number(cost),
        unpriced_calls=calls if cost is None else 0,
    )


def _total(document: Mapping[str, Any], steps: Sequence[Step]) -> Usage:
    """Return the whole usage: the totals where they say more than the steps."""
    whole = sum((step.usage for step in steps), Usage())
    told = mapping(document.get("final_metrics"))
    cost = told.get("total_cost_usd")
    calls = whole.calls or sum(1 for step in steps if step.thought or step.action)
    return replace(
        whole,
        calls=calls,
        input_tokens=max(whole.input_tokens, count(told.get("total_prompt_tokens"))),
        cached_input_tokens=max(whole.cached_input_tokens, count(told.get("total_cached_tokens"))),
        output_tokens=max(whole.output_tokens, count(told.get("total_completion_tokens"))),
        known_usd=max(whole.known_usd, number(cost)),
        unpriced_calls=0 if cost is not None else whole.unpriced_calls or (0 if whole.calls else calls),
    )


def _time(timestamp: object) -> float:
    try:
        return number(datetime.fromisoformat(str(timestamp).replace("Z", "+00:00")).timestamp())
    except (ValueError, OverflowError, OSError):
        return 0.0


def _seconds(told: Sequence[Mapping[str, Any]]) -> float:
    times = [at for step in told if (at := _time(step.get("timestamp")))]
    return max(times) - min(times) if times else 0.0


def _prompt(told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    messages = [
        {
            "role": mapping(mapping(s.get("extra")).get(OURS)).get("role", s.get("source")),
            "content": text_of(s.get("message")),
        }
        for s in told
    ]
    return {"prompt": messages} if messages else {}


def _extra(document: Mapping[str, Any], prompt: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what our nouns have no place for, without what only a grader may know."""
    agent = mapping(document.get("agent"))
    found: dict[str, Any] = {name: document.get(name) for name in _KEPT}
    found["model"] = agent.get("model_name")
    found["agent"] = {name: agent[name] for name in _AGENT if name in agent and name != "model_name"}
    found["source_extra"] = document.get("extra")
    kept: dict[str, Any] = without_truth({name: value for name, value in found.items() if value})
    return kept | _prompt(prompt)


def _patch(extra: Mapping[str, Any]) -> str | None:
    named = [extra.get(name) for name in ("model_patch", "submission")]
    return next((patch for patch in named if isinstance(patch, str)), None)


def _named(document: Mapping[str, Any], extra: Mapping[str, Any], path: PurePath) -> str:
    named = [extra.get(name) for name in ("instance_id", "task_id", "task_name")]
    found = next((one for one in named if isinstance(one, str) and one), "")
    stem = path.name.removesuffix(".json")
    if found or stem not in ("", "trajectory"):
        return found or unescaped(stem)
    folder = next((name for name in reversed(path.parent.parts) if name not in ("agent", "logs")), "")
    if not folder:
        raise UsageError(f"{shown(path)}: it names no task: put it in a folder of the task's name")
    return folder.rpartition("__")[0] or folder


def _losses(document: Mapping[str, Any], told: Sequence[Mapping[str, Any]]) -> list[str]:
    many = sum(len(listed(step.get("tool_calls"))) > 1 for step in told)
    media = sum(
        mapping(part).get("type") in ("image", "audio")
        for step in told
        for held in (step.get("message"), *_contents(step))
        for part in listed(held)
    )
    subs = len(listed(document.get("subagent_trajectories")))
    later = " and what comes after it" if document.get("continued_trajectory_ref") else ""
    found = [
        f"{many} turns with several calls became a step for each call" if many else "",
        f"{media} images or recordings are named and not kept" if media else "",
        f"{subs} trajectories of sub-agents were left out" if subs else "",
        f"a continued trajectory: only this file was read, not the one that it names{later}" if later else "",
    ]
    return [one for one in found if one]


def _contents(step: Mapping[str, Any]) -> list[Any]:
    return [mapping(r).get("content") for r in listed(mapping(step.get("observation")).get("results"))]
