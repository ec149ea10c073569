"""SWE-agent's `.traj`, read; its retry agent's `attempts` are several attempts at one task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from tts.errors import UsageError
from tts.formats.files import count, listed, mapping, number, shown, text_of
from tts.formats.recorded import Recorded, recorded, without_truth
from tts.formats.statuses import status_of
from tts.types import Rollout, Step, Usage

_INFO = ("swe_agent_version", "swe_agent_hash", "swe_rex_version", "exit_status")


def is_sweagent(document: object) -> bool:
    """Whether a JSON document is a trajectory of SWE-agent."""
    body = mapping(document)
    return isinstance(body.get("trajectory"), list) or isinstance(body.get("attempts"), list)


def read(document: Mapping[str, Any], path: PurePath) -> Iterator[Recorded]:
    """Return the attempts of a trajectory: one, or those of the retry agent in their order.

    A return code is kept where a step has one as a number, which SWE-agent itself does not write. What its
    reviewer thought of an attempt (`review`, `chooser`) is left out: it is a
    verdict and no part of the attempt.

    Raises:
        UsageError: it cannot be read.
    """
    attempts = [mapping(one) for one in listed(document.get("attempts"))]
    task_id = _named(document, path)
    for sample, attempt in enumerate(attempts or [dict(document)]):
        yield _attempt(attempt, task_id, sample, is_retry=bool(attempts))


def _attempt(body: Mapping[str, Any], task_id: str, sample: int, *, is_retry: bool) -> Recorded:
    info = mapping(body.get("info"))
    turns = [mapping(turn) for turn in listed(body.get("trajectory"))]
    steps = [_step(turn) for turn in turns]
    submission = info.get("submission")
    rollout = Rollout(
        status=status_of(info.get("exit_status")),
        patch=text_of(submission),
        usage=_usage(mapping(info.get("model_stats"))),
        seconds=sum(step.seconds for step in steps),
    )
    extra = {name: info[name] for name in _INFO if name in info}
    prompt = _prompt(body)
    if prompt:
        extra["prompt"] = prompt
    return recorded(
        task_id,
        rollout,
        steps,
        sample=sample,
        agent="SWE-agent",
        extra=without_truth(extra),
        lost=tuple(_losses(body, info, turns, is_retry=is_retry)),
    )


def _step(turn: Mapping[str, Any]) -> Step:
    """Return a turn; the thought is the reply without its action where the two are told apart."""
    extra = mapping(turn.get("extra_info"))
    code = turn.get("returncode", extra.get("returncode", extra.get("exit_code")))
    return Step(
        thought=text_of(turn.get("thought") or turn.get("response")).strip(),
        action=text_of(turn.get("action")).strip("\n"),
        observation=text_of(turn.get("observation")),
        returncode=code if isinstance(code, int) and not isinstance(code, bool) else None,
        seconds=number(turn.get("execution_time")),
    )


def _usage(stats: Mapping[str, Any]) -> Usage:
    """Return the usage of the attempt; SWE-agent counts it for the whole and not by step."""
    cost, calls = number(stats.get("instance_cost")), count(stats.get("api_calls"))
    return Usage(
        calls=calls,
        input_tokens=count(stats.get("tokens_sent")),
        output_tokens=count(stats.get("tokens_received")),
        known_usd=cost,
        unpriced_calls=0 if cost > 0 else calls,
    )


def _prompt(body: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the messages before the first reply."""
    found: list[dict[str, str]] = []
    for message in map(mapping, listed(body.get("history"))):
        if message.get("role") not in ("system", "user"):
            break
        found.append({"role": str(message["role"]), "content": text_of(message.get("content"))})
    return found


def _named(document: Mapping[str, Any], path: PurePath) -> str:
    named = document.get("instance_id")
    stem = path.name.removesuffix(".json").removesuffix(".traj")
    found = named if isinstance(named, str) and named else stem
    if not found:
        raise UsageError(f"{shown(path)}: it names no task: expected <task>.traj")
    return found


def _losses(
    body: Mapping[str, Any], info: Mapping[str, Any], turns: Sequence[Mapping[str, Any]], *, is_retry: bool
) -> Iterator[str]:
    if "replay_config" in body:
        yield "the configuration for a replay was left out"
    if "review" in info or "chooser" in info:
        yield "the reviewer's opinion was left out: it is a verdict on the attempt and no part of it"
    if any(turn.get("state") for turn in turns):
        yield "the state of the tools after each step was left out"
    if any(turn.get("query") for turn in turns):
        yield "the messages sent to the model at each step were left out"
    if is_retry:
        yield "which of its attempts the retry agent handed in was left out"
