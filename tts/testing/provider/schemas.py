"""Values that fit a JSON schema in the plainest way, and values that do not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

PLAIN: Mapping[str, Any] = {"string": "text", "integer": 1, "number": 0.5, "boolean": True, "null": None}


def plausible(schema: Mapping[str, Any]) -> str:
    """Return JSON that fits the schema: first alternatives, least lengths, every property."""
    return json.dumps(_value(schema, schema, 0))


def unfit(schema: Mapping[str, Any] | None) -> str:
    """Return well-formed JSON that does not fit the schema."""
    takes_any_object = schema is not None and _kind(schema) == "object" and not schema.get("required")
    return '["unexpected"]' if takes_any_object else '{"unexpected": "value"}'


def _value(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Any:
    schema = _resolved(schema, root)
    for word in ("const", "default"):
        if word in schema:
            return schema[word]
    if schema.get("enum"):
        return schema["enum"][0]
    for word in ("anyOf", "oneOf"):
        if schema.get(word):
            return _value(schema[word][0], root, depth)
    return _typed(schema, root, depth)


def _typed(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Any:
    kind = _kind(schema)
    if kind == "object":
        return _members(schema, root, depth + 1)
    if kind == "array":
        return [_value(schema.get("items", {}), root, depth + 1)] * max(int(schema.get("minItems", 1)), 0)
    if kind == "string":
        return PLAIN["string"].ljust(int(schema.get("minLength", 0)), "x")[: schema.get("maxLength")]
    if kind in ("integer", "number"):
        return _number(schema, PLAIN[kind])
    return PLAIN[kind]


def _members(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """Past a depth only what is required, so that a schema that holds itself comes to an end."""
    wanted: Mapping[str, Any] = schema.get("properties", {})
    names = schema.get("required", []) if depth > 8 else wanted
    return {name: _value(wanted.get(name, {}), root, depth) for name in names}


def _number(schema: Mapping[str, Any], plain: float) -> float:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and plain < low:
        return cast(float, low)
    return cast(float, high) if high is not None and plain > high else plain


def _kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        return cast(str, kind[0])
    return kind if isinstance(kind, str) else "object" if "properties" in schema else "string"


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        found: Any = root
        for step in schema["$ref"].removeprefix("#").strip("/").split("/"):
            found = found[step] if step else found
        schema = found
    return schema
