"""The test provider in a process of its own, so that it takes no time from what is measured."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from tts.testing.provider import ModelServer, Script, Served


@dataclass
class Provider:
    """Where it listens; what it served is there once the context has been left."""

    openai_url: str
    anthropic_url: str
    requests: list[Served] = field(default_factory=list[Served])

    def url(self, name: str) -> str:
        """Return the base URL for a model's name."""
        return self.anthropic_url if name.startswith("anthropic") else self.openai_url


@contextmanager
def served(make: Callable[..., Script], *arguments: object, **options: Any) -> Iterator[Provider]:
    """Serve the script that `make(*arguments)` returns; `make` is a function of a module.

    The options go to the server.
    """
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(theirs, make, arguments, options), daemon=True)
    process.start()
    try:
        provider = Provider(*ours.recv())
        yield provider
        ours.send("done")
        provider.requests += ours.recv()
    finally:
        process.join(10)
        process.kill()


def _serve(
    pipe: Connection, make: Callable[..., Script], arguments: tuple[object, ...], options: Mapping[str, Any]
) -> None:
    with ModelServer(make(*arguments), **{"keep_asked": False, **options}) as server:
        pipe.send((server.openai_url, server.anthropic_url))
        pipe.recv()
        server.wait_until(lambda s: s.connections_open == 0)
        pipe.send(server.requests)
