"""Readers of the JSON lines that command-line agents print: one a format, and one for any other program.

Each takes an object and returns what it says, or None where the object is not of its format. All that they
return is the program's own word, exit codes and prices included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from tts.agents.command.said import (
    Figures,
    Object,
    Said,
    count,
    dollars,
    inside,
    objects,
    shown,
    text,
    three_part_usage,
    tool_call,
    whole_usage,
)
from tts.types import Usage

Reader: TypeAlias = Callable[[Object], "list[Said] | None"]


def read(line: Object) -> list[Said] | None:
    """Return what an object says, None where no format knows it."""
    found = (reader(line) for reader in READERS.values())
    return next((said for said in found if said is not None), None)


# Claude Code, and those who print the same: Qwen Code, Cursor's agent


def claude(line: Object) -> list[Said] | None:
    """`claude --output-format stream-json`: messages with blocks, and a result with totals."""
    kind, session = text(line, "type"), text(line, "session_id")
    if kind in ("assistant", "user") and isinstance(inside(line, "message"), dict):
        said = [one for block in _blocks(line["message"]) for one in _block(block, kind)]
        return [*said, *_claude_call(line["message"], session)] if kind == "assistant" else said
    if kind == "result" and ("result" in line or "total_cost_usd" in line or "is_error" in line):
        return _claude_result(line, session)
    if kind in ("system", "stream_event", "control_response", "keep_alive") and session:
        return []
    return None


def _blocks(message: Object) -> list[Object]:
    content = message.get("content")
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(objects(content))


def _block(block: Object, kind: str) -> list[Said]:
    match text(block, "type"):
        case "text" if kind == "assistant":
            return [Said(thought=text(block, "text"), answer=text(block, "text"))]
        case "thinking":
            return [Said(thought=text(block, "thinking"))]
        case "tool_use" | "server_tool_use":
            return [Said(action=tool_call(text(block, "name"), block.get("input")), call=text(block, "id"))]
        case "tool_result":
            failed = "[error]\n" if block.get("is_error") is True else ""
            output = failed + shown(block.get("content"))
            return [Said(observation=output, call=text(block, "tool_use_id"))]
        case _:
            return []


def _claude_call(message: Object, session: str) -> list[Said]:
    if not isinstance(message.get("usage"), dict):
        return []
    usage = three_part_usage(message["usage"], calls=1)
    return [Said(figures=Figures(usage, key=text(message, "id")), session=session)]


def _claude_result(line: Object, session: str) -> list[Said]:
    usd, found = dollars(line, "total_cost_usd"), inside(line, "usage")
    figures = None
    if usd is not None or isinstance(found, dict):
        usage = three_part_usage(found, calls=max(1, count(line, "num_turns")), usd=usd)
        figures = Figures(usage, priced=usd is not None, total=True)
    failed = line.get("is_error") is True
    told = shown(line.get("result")) or text(line, "subtype")
    return [
        Said(
            observation=f"[error] {told}" if failed else "",
            answer="" if failed else text(line, "result"),
            figures=figures,
            session=session,
        )
    ]


# Cursor's agent: what differs


def cursor(line: Object) -> list[Said] | None:
    """`cursor-agent --output-format stream-json`: as Claude Code, but tools are events of their own."""
    kind, part = text(line, "type"), text(line, "subtype")
    if kind == "thinking" and part in ("delta", "completed"):
        return [Said(thought=text(line, "text"), more=True)] if text(line, "text") else []
    if kind != "tool_call" or not isinstance(inside(line, "tool_call"), dict):
        return None
    called: Object = line["tool_call"]
    name, body = next(iter(called.items()), ("", None))
    call = text(line, "call_id")
    if part == "started":
        return [Said(action=tool_call(name, inside(body, "args")), call=call)]
    return [Said(observation=shown(inside(body, "result")), call=call)]


# Codex


def codex(line: Object) -> list[Said] | None:
    """`codex exec --json`: items as they are completed; the usage of a turn is that of the thread so far."""
    kind = text(line, "type")
    if kind == "item.completed" and isinstance(inside(line, "item"), dict):
        return _codex_item(line["item"])
    if kind == "turn.completed":
        found = inside(line, "usage")
        usage = whole_usage(found, calls=1)
        return [Said(figures=Figures(usage, total=True))] if isinstance(found, dict) else []
    if kind in ("turn.failed", "error") and (told := text(line, "error", "message") or text(line, "message")):
        return [Said(observation=f"[error] {told}")]
    if kind.startswith(("thread.", "turn.", "item.")):
        return [Said(session=text(line, "thread_id"))]
    return None


def _codex_item(item: Object) -> list[Said]:
    match text(item, "type") or text(item, "item_type"):
        case "agent_message" | "assistant_message":
            return [Said(thought=text(item, "text"), answer=text(item, "text"))]
        case "reasoning" | "plan":
            return [Said(thought=text(item, "text"))]
        case "command_execution":
            output = text(item, "aggregated_output") + _exit_code(item.get("exit_code"))
            return [Said(action=text(item, "command"), observation=output)]
        case "file_change":
            changes = [f"{text(one, 'kind')} {text(one, 'path')}" for one in objects(item.get("changes"))]
            return [Said(action="\n".join(["change files", *changes]), observation=text(item, "status"))]
        case "mcp_tool_call":
            name = f"{text(item, 'server')}.{text(item, 'tool')}"
            result = inside(item, "result", "content") or inside(item, "error", "message")
            return [Said(action=tool_call(name, item.get("arguments")), observation=shown(result))]
        case "web_search":
            return [Said(action=f"search {text(item, 'query')}")]
        case "error":
            return [Said(observation=f"[error] {text(item, 'message')}")]
        case _:
            return []


def _exit_code(code: Any) -> str:
    told = isinstance(code, int) and not isinstance(code, bool)
    return f"\n[exit code {str(code)[:12]}, as the agent says]" if told else ""


# Gemini CLI


def gemini(line: Object) -> list[Said] | None:
    """`gemini --output-format stream-json`: pieces of messages, tools, and a result with totals."""
    match text(line, "type"):
        case "init" if "session_id" in line:
            return [Said(session=text(line, "session_id"))]
        case "message" if isinstance(line.get("content"), str) and "role" in line:
            return _gemini_message(line)
        case "tool_use" if "tool_name" in line:
            action = tool_call(text(line, "tool_name"), line.get("parameters"))
            return [Said(action=action, call=text(line, "tool_id"))]
        case "tool_result" if "tool_id" in line:
            failed = text(line, "error", "message")
            output = text(line, "output") + (f"\n[error] {failed}" if failed else "")
            return [Said(observation=output, call=text(line, "tool_id"))]
        case "error" if "severity" in line:
            return [Said(observation=f"[{text(line, 'severity')}] {text(line, 'message')}")]
        case "result" if "stats" in line or "status" in line:
            return _gemini_result(line)
        case _:
            return None


def _gemini_message(line: Object) -> list[Said]:
    if text(line, "role") != "assistant":
        return []
    words = text(line, "content")
    return [Said(thought=words, answer=words, more=line.get("delta") is True)]


def _gemini_result(line: Object) -> list[Said]:
    failed, stats = text(line, "error", "message"), inside(line, "stats")
    figures = Figures(whole_usage(stats, calls=1), total=True) if isinstance(stats, dict) else None
    return [Said(observation=f"[error] {failed}" if failed else "", figures=figures)]


# opencode


def opencode(line: Object) -> list[Said] | None:
    """`opencode run --format json`: parts of messages; each step has its tokens and price."""
    kind, session, part = text(line, "type"), text(line, "sessionID"), inside(line, "part")
    if not session:
        return None
    match kind:
        case "text":
            return [Said(thought=text(part, "text"), answer=text(part, "text"), session=session)]
        case "reasoning":
            return [Said(thought=text(part, "text"), session=session)]
        case "tool_use":
            action = tool_call(text(part, "tool"), inside(part, "state", "input"))
            failed = text(part, "state", "error")
            output = shown(inside(part, "state", "output")) + (f"\n[error] {failed}" if failed else "")
            return [Said(action=action, observation=output, session=session)]
        case "step_finish":
            return [Said(figures=_opencode_step(part), session=session)]
        case "error":
            told = text(line, "error", "data", "message") or shown(line.get("error"))
            return [Said(observation=f"[error] {told}", session=session)]
        case _:
            return [Said(session=session)]


def _opencode_step(part: Any) -> Figures:
    tokens, usd = inside(part, "tokens"), dollars(part, "cost")
    cached, kept = count(tokens, "cache", "read"), count(tokens, "cache", "write")
    thought = count(tokens, "reasoning")
    usage = Usage(
        calls=1,
        input_tokens=count(tokens, "input") + cached + kept,
        cached_input_tokens=cached,
        cache_write_tokens=kept,
        output_tokens=count(tokens, "output") + thought,
        reasoning_tokens=thought,
        known_usd=usd or 0.0,
    )
    # A model without a price is told as costing nothing.
    return Figures(usage, priced=bool(usd), key=text(part, "id"))


# goose


def goose(line: Object) -> list[Said] | None:
    """`goose run --output-format stream-json`: pieces of messages, and totals at the end."""
    kind, message = text(line, "type"), inside(line, "message")
    if kind == "message" and isinstance(message, dict):
        mine = text(message, "role") == "assistant"
        return [said for block in objects(inside(message, "content")) for said in _goose_block(block, mine)]
    if kind == "complete" and "total_tokens" in line:
        usage = whole_usage(line, calls=1)
        if not usage.tokens:
            usage = Usage(calls=1, input_tokens=count(line, "total_tokens"), estimated=True)
        return [Said(figures=Figures(usage, total=True))] if usage.tokens else []
    if kind == "error" and "error" in line:
        return [Said(observation=f"[error] {shown(line['error'])}")]
    return [] if kind == "notification" else None


def _goose_block(block: Object, mine: bool) -> list[Said]:
    match text(block, "type"):
        case "text" if mine:
            return [Said(thought=text(block, "text"), answer=text(block, "text"), more=True)]
        case "thinking":
            return [Said(thought=text(block, "thinking"), more=True)]
        case "toolRequest":
            asked = inside(block, "toolCall", "value")
            action = tool_call(text(asked, "name"), inside(asked, "arguments"))
            return [Said(action=action, call=text(block, "id"))]
        case "toolResponse":
            result = inside(block, "toolResult", "value", "content") or inside(block, "toolResult")
            return [Said(observation=shown(result), call=text(block, "id"))]
        case _:
            return []


# Any other program


def plain(line: Object) -> list[Said] | None:
    """Any program: `thought`, `action`, `observation`, `answer`, `usage` (new) and `total_usage` (so far)."""
    said = Said(
        thought=text(line, "thought"),
        action=shown(line.get("action")),
        observation=shown(line.get("observation")),
        answer=text(line, "answer"),
    )
    used = list(_figures(line))
    return None if said == Said() and not used else [said, *used]


def _figures(line: Object) -> Iterable[Said]:
    for name in ("usage", "total_usage"):
        found = line.get(name)
        if isinstance(found, dict):
            prices = (dollars(found, each) for each in ("cost_usd", "usd", "cost", "total_cost_usd"))
            usd = next((price for price in prices if price is not None), None)
            usage = whole_usage(found, calls=max(1, count(found, "calls")), usd=usd)
            yield Said(figures=Figures(usage, priced=usd is not None, total=name == "total_usage"))


READERS: Mapping[str, Reader] = {
    "claude": claude,
    "cursor": cursor,
    "codex": codex,
    "opencode": opencode,
    "gemini": gemini,
    "goose": goose,
    "plain": plain,
}
"""In the order in which they are asked; the first that knows an object reads it."""
