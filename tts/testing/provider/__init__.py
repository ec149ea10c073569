"""A model provider for tests and benchmarks: the APIs of OpenAI and Anthropic over HTTP, by script."""

from __future__ import annotations

try:
    import starlette as _starlette
    import uvicorn as _uvicorn
except ImportError:
    raise ImportError(
        "tts.testing.provider needs starlette and uvicorn: pip install 'tts-scaling[testing]'"
    ) from None

from tts.testing.provider.counts import Bill, Served
from tts.testing.provider.script import (
    Api,
    Asked,
    Fault,
    Kind,
    Says,
    Script,
    ToolCall,
    default_script,
    digest,
    faulty,
)
from tts.testing.provider.server import ModelServer
from tts.testing.provider.tokens import count_tokens, split_tokens

__all__ = [
    "Api",
    "Asked",
    "Bill",
    "Fault",
    "Kind",
    "ModelServer",
    "Says",
    "Script",
    "Served",
    "ToolCall",
    "count_tokens",
    "default_script",
    "digest",
    "faulty",
    "split_tokens",
]

del _starlette, _uvicorn
