"""mini-swe-agent's `.traj.json` (format 1.1, and 1 where it is the same), read and written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from tts.errors import UsageError
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
from tts.formats.statuses import status_of
from tts.types import Rollout, Step, Usage

FORMAT = "mini-swe-agent-1.1"

_NUMBERED = re.compile(r"(\d{1,9})\.traj\.json\Z")


def is_mini(document: object) -> bool:
    """Whether a JSON document is a trajectory of mini-swe-agent."""
    body = mapping(document)
    named = str(body.get("trajectory_format", "")).startswith("mini-swe-agent")
    return isinstance(body.get("messages"), list) and (named or "mini_version" in mapping(body.get("info")))


def read(document: Mapping[str, Any], path: PurePath) -> Recorded:
    """Return the attempt of a trajectory; `path` tells the task's id and number where the document does not.

    Raises:
        UsageError: it cannot be read.
    """
    place = path.name
    messages = [mapping(message) for message in listed(document.get("messages"))]
    info = mapping(document.get("info"))
    start, steps = _steps(messages, priced=number(_stats(info).get("instance_cost")) > 0, place=place)
    extra = _extra(info, messages[:start])
    ours = mapping(document.get(OURS))
    if ours:
        found = read_about(ours, steps, place)
        prompt = {"prompt": extra["prompt"]} if "prompt" in extra else {}
        return replace(found, extra=without_truth(mapping(ours.get("extra"))) | prompt)
    task_id, sample = _named(document, path)
    rollout = Rollout(
        status=status_of(info.get("exit_status")),
        usage=_total(_stats(info), steps),
        seconds=_seconds(messages),
        error=_error(messages, info),
        **_output(info, document),
    )
    agent = f"mini-swe-agent {extra.get('model', '')}".strip()
    lost = tuple(told for told in (_several(messages),) if told)
    return recorded(task_id, rollout, steps, sample=sample, agent=agent, extra=extra, lost=lost)


def document(found: Recorded) -> dict[str, Any]:
    """Return an attempt as a trajectory of mini-swe-agent; what it has no place for stands under `tts`."""
    extra = dict(found.extra)
    prompt = [dict(message) for message in listed(extra.pop("prompt", None))]
    exit_status = extra.pop("exit_status", None) or _EXITS.get(found.rollout.status, "Submitted")
    submission = found.rollout.output or ""
    last = {"role": "exit", "content": submission or exit_status}
    last_extra = {"exit_status": exit_status, "submission": submission}
    usage = found.rollout.usage
    config = mapping(extra.pop("config", None))
    model = extra.pop("model", None)
    if model is not None and not mapping(config.get("model")):
        config = config | {"model": {"model_name": model}}
    info = {
        "model_stats": {"instance_cost": usage.known_usd, "api_calls": usage.calls},
        "config": config,
        "mini_version": extra.pop("mini_version", ""),
        "exit_status": exit_status,
        "submission": submission,
    }
    turns = [message for i, step in enumerate(found.steps) for message in _turn(step, i)]
    ours = about_json(found) | {"extra": {k: x for k, x in found.extra.items() if k != "prompt"}}
    return {
        "info": info,
        "messages": [*prompt, *turns, last | {"extra": last_extra}],
        "trajectory_format": FORMAT,
        "instance_id": found.task_id,
        OURS: ours,
    }


_EXITS = {"finished": "Submitted", "limit": "LimitsExceeded", "failed": "AgentFailed", "infra": "Infra"}


def _turn(step: Step, i: int) -> Iterator[dict[str, Any]]:
    """The messages of a step: what the agent said and did, and what it was told."""
    told: dict[str, Any] = {OURS: step_json(step)}
    if step.thought or step.action or step.usage != Usage() or step.returncode is not None:
        call = {"command": step.action, "tool_call_id": f"call_{i}"}
        said: dict[str, Any] = {"role": "assistant", "content": step.thought}
        if step.action:
            arguments = json.dumps({"command": step.action}, ensure_ascii=False)
            function = {"name": "bash", "arguments": arguments}
            said["tool_calls"] = [{"id": call["tool_call_id"], "type": "function", "function": function}]
        more = {"actions": [call] if step.action else [], "cost": step.usage.known_usd, "timestamp": step.at}
        yield said | {"extra": more | told}
        told = {}
        if not step.observation and step.returncode is None:
            return
    heard: dict[str, Any] = {"role": "user", "content": step.observation}
    if step.action:
        heard = {"role": "tool", "tool_call_id": f"call_{i}", "content": step.observation}
    captured = {} if step.returncode is None else {"returncode": step.returncode}
    yield heard | {"extra": {"raw_output": step.observation} | captured | told}


def _steps(messages: Sequence[Mapping[str, Any]], *, priced: bool, place: str) -> tuple[int, list[Step]]:
    """Return where the prompt ends, and the steps after it."""
    start = next((i for i, message in enumerate(messages) if _begins(message)), len(messages))
    steps: list[Step] = []
    waiting: list[int] = []
    at = 0.0
    for message in messages[start:]:
        now = number(mapping(message.get("extra")).get("timestamp"))
        if _is_said(message):
            new = _said(message, priced=priced, at=at or now, now=now, place=place)
            waiting = list(range(len(steps), len(steps) + len(new)))
            steps += new
        elif waiting and not _stands_alone(message):
            i = waiting.pop(0)
            steps[i] = _heard(steps[i], message, now)
        elif message.get("role") != "exit":
            steps.append(_alone(message, priced=priced, at=now, place=place))
        at = now or at
    return start, steps


def _begins(message: Mapping[str, Any]) -> bool:
    return _is_said(message) or _stands_alone(message)


def _is_said(message: Mapping[str, Any]) -> bool:
    return message.get("role") == "assistant" or message.get("object") == "response"


def _stands_alone(message: Mapping[str, Any]) -> bool:
    """Whether it answers no action: the end, a complaint about an unreadable reply, or a step of ours."""
    return message.get("role") == "exit" or not mapping(message.get("extra")).keys().isdisjoint(
        {OURS, "interrupt_type"}
    )


def _said(message: Mapping[str, Any], *, priced: bool, at: float, now: float, place: str) -> list[Step]:
    """Return one step per action of a reply; the first has the thought and the usage."""
    extra = mapping(message.get("extra"))
    actions = [text_of(mapping(action).get("command")) for action in listed(extra.get("actions"))] or [""]
    usage, thought = _usage(extra, priced=priced), _thought(message)
    first = Step(thought, actions[0], usage=usage, seconds=max(0.0, now - at), at=at)
    if OURS in extra:
        first = read_step(Step(thought, actions[0]), extra[OURS], place)
    return [first, *(Step(action=action, at=now) for action in actions[1:])]


def _heard(step: Step, message: Mapping[str, Any], now: float) -> Step:
    extra = mapping(message.get("extra"))
    code = extra.get("returncode")
    returncode = code if isinstance(code, int) and not isinstance(code, bool) else None
    raw = extra.get("raw_output")
    observation = (
        raw if isinstance(raw, str) and raw else text_of(message.get("content", message.get("output")))
    )
    seconds = now - step.at if now > step.at > 0 else step.seconds
    return replace(step, observation=observation, returncode=returncode, seconds=seconds)


def _alone(message: Mapping[str, Any], *, priced: bool, at: float, place: str) -> Step:
    """Return the step of a message that answers no action; a complaint holds the reply that it is about."""
    extra = mapping(message.get("extra"))
    observation = text_of(message.get("content"))
    if OURS in extra:
        return read_step(Step(observation=observation), extra[OURS], place)
    if "interrupt_type" not in extra:
        return Step(observation=observation, at=at)
    reply = text_of(extra.get("model_response")) or _reply(mapping(extra.get("response")))
    return Step(reply, observation=observation, usage=_usage(extra, priced=priced), at=at)


def _reply(response: Mapping[str, Any]) -> str:
    choices = [mapping(mapping(choice).get("message")) for choice in listed(response.get("choices"))]
    return _thought(choices[0] if choices else response)


def _thought(message: Mapping[str, Any]) -> str:
    """Return what a reply says, its reasoning first, of Chat Completions or of the Responses API."""
    texts = [text_of(message.get("reasoning_content")), text_of(message.get("content"))]
    for item in map(mapping, listed(message.get("output"))):
        if item.get("type") == "reasoning":
            texts.append(text_of(item.get("summary")))
        elif item.get("type") == "message":
            texts.append(text_of(item.get("content")))
    return "\n\n".join(text for text in texts if text)


def _usage(extra: Mapping[str, Any], *, priced: bool) -> Usage:
    """Return the usage of one model call; a cost of 0 is a price that nobody knew."""
    told = mapping(mapping(extra.get("response")).get("usage"))
    read_ = mapping(told.get("prompt_tokens_details") or told.get("input_tokens_details"))
    thought = mapping(told.get("completion_tokens_details") or told.get("output_tokens_details"))
    cost = number(extra.get("cost"))
    return Usage(
        calls=1,
        input_tokens=count(told.get("prompt_tokens") or told.get("input_tokens")),
        cached_input_tokens=count(read_.get("cached_tokens")),
        output_tokens=count(told.get("completion_tokens") or told.get("output_tokens")),
        reasoning_tokens=count(thought.get("reasoning_tokens")),
        known_usd=cost,
        unpriced_calls=int(not priced and cost == 0),
    )


def _total(stats: Mapping[str, Any], steps: Sequence[Step]) -> Usage:
    whole = sum((step.usage for step in steps), Usage())
    cost, calls = number(stats.get("instance_cost")), max(count(stats.get("api_calls")), whole.calls)
    unpriced = 0 if cost > 0 else max(whole.unpriced_calls, calls - whole.calls)
    return replace(whole, calls=calls, known_usd=max(cost, whole.known_usd), unpriced_calls=unpriced)


def _stats(info: Mapping[str, Any]) -> dict[str, Any]:
    return mapping(info.get("model_stats"))


def _seconds(messages: Sequence[Mapping[str, Any]]) -> float:
    times = [t for m in messages if (t := number(mapping(m.get("extra")).get("timestamp")))]
    return max(times) - min(times) if times else 0.0


def _output(info: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was handed in, as the patch unless it can be none."""
    submission = text_of(info.get("submission"))
    is_answer = submission and "instance_id" not in document and not _DIFF.search(submission)
    return {"answer" if is_answer else "patch": submission}


_DIFF = re.compile(r"^(diff --git |--- )", re.MULTILINE)


def _error(messages: Sequence[Mapping[str, Any]], info: Mapping[str, Any]) -> str:
    last = mapping(messages[-1].get("extra")) if messages else {}
    return text_of(info.get("exception_str") or last.get("exception_str"))


def _extra(info: Mapping[str, Any], prompt: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what our nouns have no place for, without what only a grader may know."""
    config = mapping(info.get("config"))
    named = mapping(config.get("model")).get("model_name")
    told = [{"role": text_of(m.get("role")), "content": text_of(m.get("content"))} for m in prompt]
    found = {name: info.get(name) for name in ("config", "mini_version", "exit_status")}
    found |= {"model": named, "prompt": told}
    return {name: without_truth(value) for name, value in found.items() if value}


def _several(messages: Sequence[Mapping[str, Any]]) -> str:
    many = [m for m in messages if len(listed(mapping(m.get("extra")).get("actions"))) > 1]
    return f"{len(many)} turns with several commands became a step for each command" if many else ""


def _named(document: Mapping[str, Any], path: PurePath) -> tuple[str, int]:
    """Return the task's id and the attempt's number: of the document, of the file's name or of its folder."""
    numbered = _NUMBERED.fullmatch(path.name)
    sample = int(numbered[1]) if numbered else 0
    named = document.get("instance_id")
    if isinstance(named, str) and named:
        return named, sample
    task_id = (
        unescaped(path.parent.name) if numbered else path.name.removesuffix(".json").removesuffix(".traj")
    )
    if not task_id:
        raise UsageError(f"{shown(path)}: it names no task: expected <task>/<task>.traj.json")
    return task_id, sample
