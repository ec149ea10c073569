"""Errors in the shape and the words of the API that was asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tts.testing.provider.script import Api, Fault

OPENAI: Mapping[str, tuple[str, str | None, str]] = {
    "400": ("invalid_request_error", None, "We could not parse the JSON body of your request."),
    "401": ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    "402": ("invalid_request_error", "billing_not_active", "Your account is not active."),
    "404": (
        "invalid_request_error",
        "model_not_found",
        "The model `{model}` does not exist or you do not have access to it.",
    ),
    "408": ("timeout", None, "Request timed out."),
    "409": ("invalid_request_error", "conflict", "The resource is being updated by another process."),
    "429": ("requests", "rate_limit_exceeded", "Rate limit reached for {model} on requests per min (RPM)."),
    "500": ("server_error", None, "The server had an error while processing your request. Sorry about that!"),
    "503": ("server_error", None, "The engine is currently overloaded, please try again later."),
    "529": ("server_error", None, "The engine is currently overloaded, please try again later."),
    "quota": (
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "context": (
        "invalid_request_error",
        "context_length_exceeded",
        "This model's maximum context length is {limit} tokens. However, your messages resulted in {tokens} "
        "tokens. Please reduce the length of the messages.",
    ),
    "error_echo": ("invalid_request_error", None, "Malformed credentials: {credential}"),
}
ANTHROPIC: Mapping[str, tuple[int, str, str]] = {
    "400": (400, "invalid_request_error", "The request body is not valid JSON."),
    "401": (401, "authentication_error", "invalid x-api-key"),
    "402": (402, "billing_error", "There is an issue with your billing or payment information."),
    "404": (404, "not_found_error", "model: {model}"),
    "408": (408, "timeout_error", "Request timed out"),
    "409": (409, "conflict_error", "The resource is being updated by another process"),
    "429": (429, "rate_limit_error", "This request would exceed your organization's rate limit."),
    "500": (500, "api_error", "Internal server error"),
    "503": (503, "api_error", "Service unavailable"),
    "529": (529, "overloaded_error", "Overloaded"),
    "quota": (
        400,
        "invalid_request_error",
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade "
        "or purchase credits.",
    ),
    "context": (400, "invalid_request_error", "prompt is too long: {tokens} tokens > {limit} maximum"),
    "error_echo": (400, "invalid_request_error", "Malformed credentials: {credential}"),
}
PARAMS: Mapping[str, str] = {"context": "messages"}
TOO_LONG = "Your input exceeds the context window of this model. Please adjust your input and try again."


def error_status(api: Api, kind: str) -> int:
    """Return the HTTP status of a kind of error."""
    if api == "messages":
        return ANTHROPIC[kind][0]
    return {"quota": 429, "context": 400, "error_echo": 400}.get(kind) or int(kind)


def error_body(api: Api, kind: str, message: str | None = None, **facts: object) -> dict[str, Any]:
    """Return the body of an error; `facts` fill the gaps of its usual wording."""
    if api == "messages":
        _, anthropic_type, wording = ANTHROPIC[kind]
        said = message or wording.format(**facts)
        error = {"type": anthropic_type, "message": said}
        return {"type": "error", "error": error, "request_id": f"req_{facts.get('index', 0)}"}
    openai_type, code, wording = OPENAI[kind]
    wording, param = (
        (TOO_LONG, "input") if (api, kind) == ("responses", "context") else (wording, PARAMS.get(kind))
    )
    said = message or wording.format(**facts)
    return {"error": {"message": said, "type": openai_type, "param": param, "code": code}}


def fault_body(api: Api, fault: Fault, **facts: object) -> dict[str, Any]:
    """Return the body of a fault that is an error status."""
    return error_body(api, fault.kind, fault.message, **facts)


def retry_headers(fault: Fault) -> list[tuple[bytes, bytes]]:
    """Return when to come back, if the fault says it: in whole seconds, or else in milliseconds."""
    seconds = fault.retry_after_seconds
    if seconds is None:
        return []
    if seconds == math.floor(seconds):
        return [(b"retry-after", str(int(seconds)).encode())]
    return [(b"retry-after-ms", str(round(seconds * 1000)).encode())]
