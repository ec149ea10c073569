"""What a server of the user's own says that it serves."""

from __future__ import annotations

from typing import Any

NO_LIST = frozenset({404, 405, 501})
"""What servers without such a list answer."""


async def listed(models: Any) -> list[Any]:
    """Return the models that an SDK's client lists; none where the server has no list."""
    try:
        return [model async for model in models.list()]
    except Exception as error:
        if getattr(error, "status_code", 0) in NO_LIST:
            return []
        raise
