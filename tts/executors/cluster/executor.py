"""The run's side of a cluster: ships effects, hears what they tell, and says what a lost worker means."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar
from uuid import uuid4

import anyio
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import tts
from tts.errors import Infra, LimitReached, Moved, TtsError, UsageError
from tts.executors.cluster import SHIPPED, RayCluster
from tts.executors.cluster.gates import NAMES, Gates
from tts.executors.cluster.post import RAY, Letter, Post
from tts.executors.cluster.worker import Company, carry_out
from tts.models.connections import Connections
from tts.models.connections import connected as open_connections
from tts.protocols import Executor, Work
from tts.types import Effect

T = TypeVar("T")

GRACE_SECONDS = 30.0
"""So long may a cancelled effect clean up before its worker is killed."""
REACH_SECONDS = 10.0
MOST_CALLS = 10_000
"""So many questions and letters at most are on their way at once."""


@dataclass(slots=True, eq=False)
class Call:
    """An effect that a worker carries out, and how many of its letters have been heard."""

    work: Work
    gates: Gates
    n_heard: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, letters: Sequence[Letter]) -> None:
        """Pass letters on to the run; one that is cancelled already does not care."""
        for name, arguments in letters:
            self._pass_on(name, arguments)
        self.n_heard += len(letters)
        self.news.set()

    def _pass_on(self, name: str, arguments: tuple[Any, ...]) -> None:
        try:
            if name in NAMES:
                self.gates.hear(name, *arguments)
            elif name == "progress":
                length, thought, signals = arguments
                self.work.progress(length, thought=thought, signals=signals)
            else:
                getattr(self.work, name)(*arguments)
        except LimitReached:
            return

    async def heard(self, n: int) -> None:
        """Wait until so many letters have been heard."""
        while self.n_heard < n:
            self.news.clear()
            await self.news.wait()


class RayExecutor:
    """Ships effects to the cluster; those of other kinds are carried out here."""

    def __init__(
        self, cluster: RayCluster, here: Executor, company: Any, post: Any, connections: Connections
    ) -> None:
        self._cluster = cluster
        self._here = here
        self._company = company
        self._post = post
        self._numbers = count()
        self._calls: dict[int, Call] = {}
        self._gates = Gates(connections, post, self._calls)
        self._task: Any = RAY.remote(max_retries=0)(carry_out)

    async def perform(self, effects: Sequence[Effect[T]], work: Work) -> Sequence[T]:
        """Return one result per effect.

        Raises:
            Moved: the worker or its node is gone, so that the effects may be carried out elsewhere.
            TtsError: as the executor on the worker.
        """
        kind = effects[0].kind
        if kind not in SHIPPED:
            return await self._here.perform(effects, work)
        number, call = next(self._numbers), Call(work, self._gates)
        self._calls[number] = call
        task = self._task.options(**self._cluster.needed_by(kind).options, name=f"tts {kind}")
        try:
            shipped = task.remote(self._post, self._company, number, list(effects))
            results: Sequence[T]
            results, rest, n_sent = await _result(shipped)
            await call.heard(n_sent)
            call.hear(rest)
        finally:
            del self._calls[number]
            self._gates.end(number)
        return results

    async def deliver(self) -> None:
        """Hear what the workers tell and answer what they ask, until cancelled."""
        async with anyio.create_task_group() as group:
            while True:
                for number, question, letters in await self._post.take.remote():
                    call = self._calls.get(number)
                    if question is None and call is not None:
                        call.hear(letters)
                    elif question is not None and letters[0][0] == "enter":
                        group.start_soon(self._gates.enter, question, number, letters[0][1])
                    elif question is not None:
                        self._post.answer.remote(question, _answer(call, letters[0]))


def _answer(call: Call | None, letter: Letter) -> Any:
    """Return what the run has, or the error in its place."""
    name, arguments = letter
    if call is None:
        return Infra("the effect was cancelled")
    try:
        return getattr(call.work, name)(*arguments)
    except Exception as error:  # noqa: BLE001 - raised on the worker
        return error


async def _result(shipped: Any) -> Any:
    """Return what a task comes to; cancelling this cancels it, and waits for its clean-up."""
    future = asyncio.wrap_future(shipped.future())
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await _cancelled(shipped, future)
        raise
    except RayTaskError as error:
        raise _meaning(error) from None
    except RayError as error:
        raise Moved(f"a worker of the cluster is gone: {type(error).__name__}") from None


def _meaning(error: RayTaskError) -> Exception:
    cause: object = getattr(error, "cause", None)
    if isinstance(cause, TtsError):
        return cause
    return Infra(f"on a worker of the cluster: {type(cause or error).__name__}: {cause or error}")


async def _cancelled(shipped: Any, future: asyncio.Future[Any]) -> None:
    """Interrupt the task, which cancels it as it would a local one; kill its worker if that takes long."""
    with anyio.CancelScope(shield=True):
        for force in (False, True):
            RAY.cancel(shipped, force=force)
            with anyio.move_on_after(GRACE_SECONDS):
                await asyncio.wait([future])
            if future.done():
                future.exception()
                return


@asynccontextmanager
async def connected(cluster: RayCluster, players: Callable[[], Executor]) -> AsyncGenerator[RayExecutor]:
    """Return the executor, connected and heard; see `RayCluster.open` for what it raises."""
    started = not RAY.is_initialized()
    if started:
        _connect(cluster)
    try:
        _check(cluster)
        sent, post = _sent(players), _post()
        await post.__ray_ready__.remote()
        async with open_connections() as connections, anyio.create_task_group() as group:
            executor = RayExecutor(cluster, players(), sent, post, connections)
            group.start_soon(executor.deliver)
            yield executor
            group.cancel_scope.cancel()
    finally:
        if started:
            RAY.shutdown()


def _connect(cluster: RayCluster) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    environment = {"working_dir": cluster.working_dir} if cluster.working_dir else None
    address = cluster.address or "local"
    ending = signal.getsignal(signal.SIGTERM)
    try:
        _reach(address)
        RAY.init(
            address=address,
            runtime_env=environment,
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False if address == "local" else None,
        )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        said = str(error).partition("\n")[0]
        raise UsageError(f"no Ray cluster answers at {address}: {said}") from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, ending)  # Ray's own would end the run without its clean-up


def _reach(address: str) -> None:
    """Try an address, since Ray itself tries for minutes.

    Raises:
        OSError, ValueError: nothing listens there, or it is no HOST:PORT.
    """
    host, _, port = address.rpartition(":")
    if host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_SECONDS).close()


def _check(cluster: RayCluster) -> None:
    """Check that some node could carry an effect of each kind out: Ray would wait for one for ever."""
    nodes: list[dict[str, float]] = [node["Resources"] for node in RAY.nodes() if node["Alive"]]
    for kind in sorted(SHIPPED):
        wanted = cluster.needed_by(kind).amounts
        if not any(all(node.get(name, 0.0) >= amount for name, amount in wanted.items()) for node in nodes):
            told = ", ".join(f"{amount:g} {name}" for name, amount in wanted.items())
            raise UsageError(f"no node of the cluster has {told}, which each {kind} needs")


def _sent(players: Callable[[], Executor]) -> Any:
    """Return the players, on their way to all nodes."""
    try:
        pickled: bytes = RAY.cloudpickle.dumps(players)
    except Exception as error:  # noqa: BLE001 - whatever a player's parts raise as they are pickled
        said = str(error).strip().partition("\n")[0]
        raise UsageError(f"a player cannot be sent to the cluster: {said}") from None
    path = tuple(os.path.abspath(place) for place in sys.path)
    return RAY.put(Company(uuid4().hex, pickled, path, tts.__version__))


def _post() -> Any:
    """Return the post office, on this node, so that no other node's end loses a letter."""
    home = NodeAffinitySchedulingStrategy(RAY.get_runtime_context().get_node_id(), soft=False)
    options: Any = {"num_cpus": 0, "max_concurrency": MOST_CALLS, "scheduling_strategy": home}
    return RAY.remote(**options)(Post).remote()
