"""The provider in a thread of its own, on a free port of this machine."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Literal

import anyio.to_thread
import uvicorn

from tts.testing.provider.answers import Options
from tts.testing.provider.app import Provider, application
from tts.testing.provider.counts import Bill, Counts, Served
from tts.testing.provider.script import Script, default_script

HOST = "127.0.0.1"
START_SECONDS = 10.0


class ModelServer:
    """A server that speaks the APIs of OpenAI and Anthropic and says what a script tells it to.

    A context manager; `script` gets what was asked and returns what to say, or a fault. Then, by option:
    `models` are the only models (None: any name is one), `keys` the only API keys, `context_tokens` the
    longest prompt; `honours_n` False answers once, whatever n is; `schemas` False refuses response schemas;
    `lists_models` False has no list of models; thinking is told in `reasoning_field` of chat deltas, and as
    `reasoning_events` of responses; `tokens_per_event` tokens share an event. `keep_asked` False keeps no
    prompts and `keep_times` False no times of tokens, to save memory. An exception of the script is answered
    with status 500 and raised when the context is left.
    """

    def __init__(
        self,
        script: Script = default_script,
        *,
        port: int = 0,
        models: Sequence[str] | None = None,
        keys: Sequence[str] | None = None,
        honours_n: bool = True,
        schemas: bool = True,
        lists_models: bool = True,
        reasoning_field: Literal["reasoning_content", "reasoning"] = "reasoning_content",
        reasoning_events: Literal["summary", "text"] = "summary",
        tokens_per_event: int = 1,
        context_tokens: int | None = None,
        keep_asked: bool = True,
        keep_times: bool = True,
    ) -> None:
        options = Options(
            models=tuple(models) if models is not None else None,
            keys=tuple(keys) if keys is not None else None,
            honours_n=honours_n,
            schemas=schemas,
            lists_models=lists_models,
            reasoning_field=reasoning_field,
            reasoning_events=reasoning_events,
            tokens_per_event=tokens_per_event,
            context_tokens=context_tokens,
        )
        self._counts = Counts(keep_asked=keep_asked, keep_times=keep_times)
        self._provider = Provider(script, options, self._counts)
        self._wanted_port = port
        self._port = 0
        self._thread: _Thread | None = None

    def __enter__(self) -> ModelServer:
        listener = socket.create_server((HOST, self._wanted_port), backlog=2048)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what it accepts inherits it
        self._port = listener.getsockname()[1]
        self._thread = _Thread(self._provider, listener)
        self._thread.start()
        self._thread.wait_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._thread.stop()
            self._thread = None
        if self._provider.broken and error is None:
            raise self._provider.broken[0]

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def openai_url(self) -> str:
        """The base URL for an OpenAI client."""
        return f"http://{HOST}:{self._port}/v1"

    @property
    def anthropic_url(self) -> str:
        """The base URL for an Anthropic client."""
        return f"http://{HOST}:{self._port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point a child process's SDKs here."""
        key = (self._provider.options.keys or ("test-key",))[0]
        openai = {"OPENAI_BASE_URL": self.openai_url, "OPENAI_API_KEY": key}
        return {**openai, "ANTHROPIC_BASE_URL": self.anthropic_url, "ANTHROPIC_API_KEY": key}

    @property
    def requests(self) -> list[Served]:
        """The requests that are over, in the order they ended."""
        return self._counts.over()

    @property
    def open(self) -> list[Served]:
        """The requests under way, in the order they came."""
        return self._counts.under_way()

    @property
    def connections_open(self) -> int:
        """How many requests are under way."""
        return self._counts.n_open()

    @property
    def tokens_sent(self) -> int:
        """The tokens sent so far, over all requests."""
        return self._counts.tokens_sent

    @property
    def billed(self) -> Bill:
        """What the requests so far would be billed, for what was made until now."""
        return self._counts.billed()

    def wait_until(self, holds: Callable[[ModelServer], bool], timeout_seconds: float = 5.0) -> None:
        """Wait until `holds` of this server; it is asked again whenever something is sent or ends.

        Raises:
            TimeoutError: it did not come to hold in time.
        """
        if not self._counts.wait_until(lambda: holds(self), timeout_seconds):
            raise TimeoutError(f"It did not come about within {timeout_seconds} seconds.")

    async def until(self, holds: Callable[[ModelServer], bool], timeout_seconds: float = 5.0) -> None:
        """Wait as `wait_until` does, without holding up the running event loop."""
        await anyio.to_thread.run_sync(self.wait_until, holds, timeout_seconds)


class _Thread:
    """A uvicorn server in a thread, from its start to its end."""

    def __init__(self, provider: Provider, listener: socket.socket) -> None:
        config = uvicorn.Config(
            application(provider),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
        )
        self._listener = listener
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._run, name="tts-model-server", daemon=True)

    def start(self) -> None:
        """Start to serve."""
        self._thread.start()

    def wait_ready(self) -> None:
        """Wait until it serves."""
        if not self._server.ready.wait(START_SECONDS):
            raise TimeoutError(f"The server did not start within {START_SECONDS} seconds.")

    def stop(self) -> None:
        """Drop what is under way and wait for the thread to end."""
        self._server.leave()
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._listener]))


class _Server(uvicorn.Server):
    """uvicorn without its ticks: it serves until told to leave and then drops every connection at once."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._left = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        await self.on_tick(0)
        self._loop = asyncio.get_running_loop()
        self.ready.set()
        await self._left.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        listeners = [listener for server in self.servers for listener in server.sockets]
        for listener in listeners:
            asyncio.get_running_loop().remove_reader(listener.fileno())
        await _turns_of_the_loop()  # a closed server would lose what it has accepted
        for server in self.servers:
            server.close()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await _turns_of_the_loop()

    def leave(self) -> None:
        """Tell it to leave, from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._left.set)


async def _turns_of_the_loop() -> None:
    """Let accepted connections be made known, and aborted ones be closed."""
    for _ in range(3):
        await asyncio.sleep(0)
