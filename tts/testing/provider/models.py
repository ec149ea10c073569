"""The lists of models, in the shape of the API that was asked."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tts.testing.provider.answers import Options
from tts.testing.provider.errors import error_body, error_status
from tts.testing.provider.script import Api

ANY = ("scripted",)
RELEASED = "2026-01-01T00:00:00Z"


class ModelList:
    """The models the provider knows; without a list of them it shows one name and knows them all."""

    def __init__(self, options: Options) -> None:
        self._options = options

    async def all(self, request: Request) -> Response:
        """Return all models."""
        objection = self._objection(request, None)
        if objection is not None:
            return objection
        shapes = [_shape(_api(request), name) for name in self._options.models or ANY]
        if _api(request) != "messages":
            return JSONResponse({"object": "list", "data": shapes})
        ends = {"first_id": shapes[0]["id"], "last_id": shapes[-1]["id"]}
        return JSONResponse({"data": shapes, "has_more": False, **ends})

    async def one(self, request: Request) -> Response:
        """Return one model, or that there is no such model."""
        name: str = request.path_params["name"]
        return self._objection(request, name) or JSONResponse(_shape(_api(request), name))

    def _objection(self, request: Request, name: str | None) -> Response | None:
        keys, models = self._options.keys, self._options.models
        if keys is not None and api_key(request) not in keys:
            return _error(_api(request), "401", "")
        unknown = name is not None and models is not None and name not in models
        return _error(_api(request), "404", name or "") if unknown or not self._options.lists_models else None


def credential(request: Request) -> str:
    """Return the header that the API key came in, as it came."""
    return request.headers.get("x-api-key") or request.headers.get("authorization") or ""


def api_key(request: Request) -> str:
    """Return the API key, "" when none came."""
    return credential(request).removeprefix("Bearer ").strip()


def _api(request: Request) -> Api:
    return "messages" if "anthropic-version" in request.headers else "chat"


def _error(api: Api, kind: str, model: str) -> Response:
    return JSONResponse(error_body(api, kind, model=model), error_status(api, kind))


def _shape(api: Api, name: str) -> dict[str, Any]:
    if api == "messages":
        shape = {"type": "model", "id": name, "display_name": name, "created_at": RELEASED}
        return {**shape, "lifecycle": "active"}
    return {"id": name, "object": "model", "created": 0, "owned_by": "tts"}
