"""Inspect's logs, read: a `.eval` archive, or the same as one JSON document.

What a scorer said, the target and the sample's metadata and store are never read: on SWE-bench they hold the
hidden tests and the right patch.
"""

from __future__ import annotations

import json
import re
import stat
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from tts.errors import UsageError
from tts.formats.files import MAX_FILE_BYTES, count, listed, mapping, number, opened, parsed, shown, text_of
from tts.formats.recorded import Recorded, recorded
from tts.formats.statuses import status_of
from tts.types import Rollout, Status, Step, Usage

MAX_MEMBERS = 200_000
MAX_ARCHIVE_BYTES = 16 << 30
"""The most bytes that an archive's members may unpack to, all together."""

MAX_EXPANSION = 500
"""The most that a member of more than a mebibyte may grow when it is unpacked."""

ZSTANDARD = 93
"""The compression that Inspect writes, which Python reads from version 3.14 on."""

_SAMPLE = re.compile(r"samples/.+_epoch_\d+\.json\Z", re.DOTALL)


def is_log(document: object) -> bool:
    """Whether a JSON document is a log of Inspect."""
    body = mapping(document)
    return isinstance(body.get("eval"), dict) and isinstance(body.get("samples"), list)


def read(document: Mapping[str, Any], name: str) -> Iterator[Recorded]:
    """Return the samples of a log that is one JSON document, by id and epoch."""
    header = mapping(document.get("eval"))
    samples = [mapping(sample) for sample in listed(document.get("samples"))]
    for sample in sorted(samples, key=lambda s: (str(s.get("id")), count(s.get("epoch")))):
        yield _attempt(sample, header, name)


def read_archive(path: Path) -> Iterator[Recorded]:
    """Return the samples of a `.eval` archive, one member at a time, by id and epoch.

    Raises:
        UsageError: it cannot be read, or one of its limits is passed.
    """
    name = shown(path.name)
    with opened(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = _members(archive, name)
                header = _header(archive, file, members, name)
                for member in sorted(m for m in members if _SAMPLE.match(m)):
                    yield _attempt(mapping(_json(archive, file, members[member], name)), header, name)
        except (zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError) as error:
            raise UsageError(f"{name}: no archive that can be read: {shown(error)}") from None


def _members(archive: zipfile.ZipFile, name: str) -> dict[str, zipfile.ZipInfo]:
    found = archive.infolist()
    if len(found) > MAX_MEMBERS:
        raise UsageError(f"{name}: {len(found):,} members; at most {MAX_MEMBERS:,} are read")
    if sum(member.file_size for member in found) > MAX_ARCHIVE_BYTES:
        raise UsageError(f"{name}: its members unpack to more than {MAX_ARCHIVE_BYTES >> 30} GiB")
    for member in found:
        if member.file_size > max(1 << 20, MAX_EXPANSION * member.compress_size):
            raise UsageError(f"{name}: {shown(member.filename)} grows more than {MAX_EXPANSION}-fold")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise UsageError(f"{name}: {shown(member.filename)} is a link; a log has none")
    # Of two members of one name the later counts, as Inspect appends what it writes anew.
    return {member.filename: member for member in found}


def _header(
    archive: zipfile.ZipFile, file: BinaryIO, members: Mapping[str, zipfile.ZipInfo], name: str
) -> dict[str, Any]:
    for member in ("header.json", "_journal/start.json"):
        if member in members:
            return mapping(mapping(_json(archive, file, members[member], name)).get("eval"))
    raise UsageError(f"{name}: no log of Inspect: an archive of one has header.json")


def _json(archive: zipfile.ZipFile, file: BinaryIO, member: zipfile.ZipInfo, name: str) -> Any:
    place = f"{name}, {shown(member.filename)}"
    if member.file_size > MAX_FILE_BYTES:
        raise UsageError(f"{place}: larger than {MAX_FILE_BYTES >> 20} MiB, the most that is imported")
    try:
        with archive.open(member) as packed:
            body = packed.read(member.file_size + 1)
    except NotImplementedError:
        body = _zstandard(file, member, place)
    if len(body) > member.file_size:
        raise UsageError(f"{place}: unpacks to more than the archive says")
    return parsed(body, place)


def _zstandard(file: BinaryIO, member: zipfile.ZipInfo, place: str) -> bytes:
    """Return a member that is packed with Zstandard, read with the package `zstandard` where it is there."""
    if member.compress_type != ZSTANDARD or member.flag_bits & 1:
        raise UsageError(f"{place}: packed in a way that is not read ({member.compress_type})")
    try:
        zstandard: Any = import_module("zstandard")
    except ImportError:
        raise UsageError(
            f"{place}: packed with Zstandard: `pip install zstandard`, or unpack the log with `inspect log"
            " convert --to json --output-dir DIR`"
        ) from None
    file.seek(member.header_offset + 26)
    lengths = file.read(4)
    file.seek(int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little"), 1)
    unpacker = zstandard.ZstdDecompressor()
    try:
        with unpacker.stream_reader(file, read_across_frames=True, closefd=False) as stream:
            return bytes(stream.read(member.file_size))
    except (zstandard.ZstdError, OSError) as error:
        raise UsageError(f"{place}: cannot be unpacked: {shown(error)}") from None


def _attempt(sample: Mapping[str, Any], header: Mapping[str, Any], name: str) -> Recorded:
    task_id, epoch = sample.get("id"), count(sample.get("epoch"))
    if isinstance(task_id, bool) or not isinstance(task_id, str | int) or task_id == "" or epoch < 1:
        raise UsageError(f"{name}: a sample of a log has an `id` and an `epoch` from 1")
    attachments = mapping(sample.get("attachments"))
    messages = [mapping(message) for message in listed(sample.get("messages"))]
    start = next((i for i, m in enumerate(messages) if m.get("role") == "assistant"), len(messages))
    steps = _steps(messages[start:], attachments)
    replies = [message for message in messages if message.get("role") == "assistant"]
    error, limit = mapping(sample.get("error")), mapping(sample.get("limit"))
    rollout = Rollout(
        status=_status(error, limit),
        usage=_usage(mapping(sample.get("model_usage")), n_calls=len(replies)),
        seconds=number(sample.get("total_time")),
        error=text_of(error.get("message")),
        **_output(mapping(sample.get("output")), attachments),
    )
    model = text_of(header.get("model"))
    prompt = [
        {"role": text_of(m.get("role")), "content": _text(m.get("content"), attachments)}
        for m in messages[:start]
    ]
    told = {"model": model, "prompt": prompt, "task": text_of(header.get("task")), "limit": limit.get("type")}
    return recorded(
        str(task_id),
        rollout,
        steps,
        sample=epoch,
        agent=f"inspect {model}".strip(),
        extra={key: value for key, value in told.items() if value},
        lost=tuple(_losses(sample)),
    )


def _status(error: Mapping[str, Any], limit: Mapping[str, Any]) -> Status:
    """Return how the sample ended; an error is the machine's where its message begins like one."""
    if limit:
        return "cancelled" if limit.get("type") == "operator" else "limit"
    told = text_of(error.get("message"))
    return status_of(told.partition("(")[0] or "error") if error else "finished"


def _steps(messages: Sequence[Mapping[str, Any]], attachments: Mapping[str, Any]) -> list[Step]:
    steps: list[Step] = []
    calls: dict[str, int] = {}
    for message in messages:
        content = _text(message.get("content"), attachments)
        if message.get("role") == "assistant":
            told = [mapping(call) for call in listed(message.get("tool_calls"))] or [{}]
            calls |= {text_of(c.get("id")): len(steps) + i for i, c in enumerate(told) if c}
            new = [Step(action=_action(call, attachments)) for call in told]
            thought = "\n\n".join(filter(None, [_reasoning(message), content]))
            steps += [replace(new[0], thought=thought), *new[1:]]
        elif message.get("role") == "tool" and text_of(message.get("tool_call_id")) in calls:
            i = calls.pop(text_of(message.get("tool_call_id")))
            error = text_of(mapping(message.get("error")).get("message"))
            steps[i] = replace(steps[i], observation="\n".join(filter(None, [content, error])))
        else:
            steps.append(Step(observation=content))
    return steps


def _reasoning(message: Mapping[str, Any]) -> str:
    parts = [mapping(part) for part in listed(message.get("content"))]
    told = [p for p in parts if p.get("type") == "reasoning" and not p.get("redacted")]
    return "\n".join(text_of(p.get("reasoning")) for p in told)


def _action(call: Mapping[str, Any], attachments: Mapping[str, Any]) -> str:
    """Return a tool call as text: a command or code as it is, another as its name and arguments."""
    arguments = mapping(call.get("arguments"))
    only = [x for name, x in arguments.items() if name in ("cmd", "command", "code")]
    if len(only) == len(arguments) == 1 and isinstance(only[0], str):
        return _text(only[0], attachments)
    function = text_of(call.get("function"))
    return f"{function} {json.dumps(arguments, ensure_ascii=False)}" if function else ""


def _text(content: object, attachments: Mapping[str, Any]) -> str:
    """Return a text, with what it names of the sample's attachments in its place."""
    text = text_of(content)
    if "attachment://" not in text:
        return text
    return re.sub(r"attachment://([0-9a-f]{32})", lambda m: text_of(attachments.get(m[1], m[0])), text)


def _output(output: Mapping[str, Any], attachments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was handed in: the completion, as a patch where it is one."""
    choices = [mapping(mapping(c).get("message")) for c in listed(output.get("choices"))]
    told = output.get("completion") or (choices[0].get("content") if choices else None)
    text = _text(told, attachments)
    return {"patch" if re.search(r"^diff --git ", text, re.MULTILINE) else "answer": text}


def _usage(told: Mapping[str, Any], n_calls: int) -> Usage:
    """Return the usage of all models; their plain input tokens leave out the cached ones."""
    whole = Usage()
    for usage in map(mapping, told.values()):
        read_ = count(usage.get("input_tokens_cache_read"))
        written = count(usage.get("input_tokens_cache_write"))
        whole += Usage(
            input_tokens=count(usage.get("input_tokens")) + read_ + written,
            cached_input_tokens=read_,
            cache_write_tokens=written,
            output_tokens=count(usage.get("output_tokens")),
            reasoning_tokens=count(usage.get("reasoning_tokens")),
            known_usd=number(usage.get("total_cost")),
        )
    unpriced = n_calls if any(mapping(u).get("total_cost") is None for u in told.values()) or not told else 0
    return replace(whole, calls=n_calls, unpriced_calls=unpriced)


def _losses(sample: Mapping[str, Any]) -> Iterator[str]:
    if sample.get("scores"):
        yield "scores were left out: they are the truth, which no selector sees"
    if sample.get("metadata") or sample.get("target") or sample.get("store"):
        yield "target, metadata and store were left out: they may hold the truth"
    if sample.get("events"):
        yield "events beside the messages were left out"
