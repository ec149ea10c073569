"""Whether a server knows a model, as far as it can be asked at no cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MISSING = frozenset({404, 405, 501})
"""What servers answer that have no such model, or no such question."""


async def known(models: Any, name: str, *, own: bool) -> Sequence[str]:
    """Return the model's name where it is known, else what the server lists; empty: it cannot tell.

    `models` is that part of an SDK's client. Where the server is the provider's `own`, its "not found" is
    raised. Others may not know the question, so they are asked for their list too.
    """
    try:
        return [name, (await models.retrieve(name)).id]
    except Exception as error:
        if own or getattr(error, "status_code", 0) not in MISSING:
            raise
    return await _listed(models)


async def _listed(models: Any) -> Sequence[str]:
    try:
        found = [model async for model in models.list()]
    except Exception as error:
        if getattr(error, "status_code", 0) not in MISSING:
            raise
        return ()
    by_any_name = any(getattr(model, "owned_by", "") == "llamacpp" for model in found)
    return () if by_any_name else [model.id for model in found]
