"""Forms that a model fills in: their JSON schema, the same in words, and a reply read strictly as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from tts.errors import Declined
from tts.hostile import cut, line, unfenced
from tts.models.chat import Ask, Chat, Reply
from tts.types import Usage


class Form(BaseModel):
    """A form: every field is there and none besides, each of its own type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


F = TypeVar("F", bound=Form)

QUOTED_CHARS = 20_000
"""So much at most of an answer that could not be used is shown to the model again."""
AGAIN_BYTES = 4 * QUOTED_CHARS + 8_000
"""So many bytes at most does asking again add to a prompt."""


@dataclass(frozen=True, slots=True)
class Filled(Generic[F]):
    """A form that was filled in, or None and why it was not; `usage` is of all replies."""

    form: F | None
    usage: Usage
    wrong: str = ""


async def filled(model: Chat, ask: Ask, form: type[F], again: Callable[[str], str]) -> Filled[F]:
    """Return what the model fills in, asked once more with `again(what was wrong)` where that is needed.

    A prompt that the model declines counts as not filled in.

    Raises:
        Infra: the provider could not be had.
    """
    usage, wrong = Usage(), ""
    for _ in range(2):
        try:
            (reply,) = await model.ask(ask)
        except Declined as error:
            return Filled(None, usage, "; ".join(filter(None, [wrong, f"the model declined: {error}"])))
        usage += reply.usage
        found, wrong = read(reply, form)
        if found is not None:
            return Filled(found, usage)
        ask = ask.then(cut(reply.text, QUOTED_CHARS) or "(nothing)", again(wrong))
    return Filled(None, usage, wrong)


def read(reply: Reply, form: type[F]) -> tuple[F | None, str]:
    """Return the form that a whole reply is, or None and what is wrong with it.

    Nothing is searched for inside a text: JSON that a reply merely quotes is not its answer.
    """
    if reply.stop != "end":
        why = {"length": "it was cut off at the cap on its length", "refused": "it was refused"}
        return None, why[reply.stop]
    try:
        return form.model_validate_json(unfenced(reply.text)), ""
    except ValidationError as error:
        return None, _told(error)


def _told(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    told = [f"{'.'.join(map(str, one['loc'])) or 'the whole'}: {one['msg']}" for one in found]
    more = [f"{len(told) - 5} more"] if len(told) > 5 else []
    return "; ".join([*(line(one, 200) for one in told[:5]), *more])


def schema_of(form: type[Form]) -> dict[str, Any]:
    """Return the form's JSON schema without references and titles, as strict response schemas need it."""
    whole = form.model_json_schema()
    return cast("dict[str, Any]", _plain(whole, whole.get("$defs", {})))


def _plain(node: Any, defs: Mapping[str, Any], *, names: bool = False) -> Any:
    """Return a node with its references filled in; where `names`, its keys are names of fields."""
    if isinstance(node, list):
        return list(map(partial(_plain, defs=defs), cast("list[Any]", node)))  # type: ignore[redundant-cast]
    if not isinstance(node, dict):
        return node
    given = cast("dict[str, Any]", node)
    if "$ref" in given and not names:
        return _plain(defs[given["$ref"].rpartition("/")[2]], defs)
    kept = {k: v for k, v in given.items() if names or k not in ("title", "$defs")}
    return {k: _plain(v, defs, names=not names and k == "properties") for k, v in kept.items()}


def in_words(form: type[Form]) -> list[tuple[str, str, str]]:
    """Return name, form and description of each field."""
    fields: Mapping[str, Any] = schema_of(form)["properties"]
    return [(name, _shape(field), field.get("description", "")) for name, field in fields.items()]


def _shape(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        return " or ".join(f'"{value}"' for value in field["enum"])
    if field["type"] == "array":
        return f"a list of {_plural(field['items'])}"
    return {"string": "a text", "integer": "a whole number"}[field["type"]]


def _plural(item: Mapping[str, Any]) -> str:
    if item["type"] != "object":
        return {"string": "texts", "integer": "whole numbers"}[item["type"]]
    inner = (f'"{name}": {_shape(field)}' for name, field in item["properties"].items())
    return f"objects {{{', '.join(inner)}}}"


def few(items: Sequence[str], n: int, *, chars: int = 400) -> tuple[str, ...]:
    """Return the items as single lines, each once: at most `n`, and a note on how many are not shown."""
    shown = list(dict.fromkeys(filter(None, (line(item, chars) for item in items))))
    rest = len(shown) - n
    return (*shown[:n], f"[{rest} more not shown]") if rest > 0 else tuple(shown)
