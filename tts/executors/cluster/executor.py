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
SETTINGS_FRAME = b"\x04"
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00" + SETTINGS_FRAME + b"\x00\x00\x00\x00\x00"
"""How a client of HTTP/2 begins (RFC 9113, 3.4): its preface, and settings of which it changes none."""
MOST_CALLS = 10_000
"""So many questions and letters at most are on their way at once."""


@dataclass(slots=True, eq=False)
class Call:
    """An effect that a worker carries out, and how many of its letters have been heard, in their order."""

    number: int
    work: Work
    gates: Gates
    n_heard: int = 0
    dismissed: bool = False
    early: dict[int, Sequence[Letter]] = field(default_factory=dict[int, Sequence[Letter]])
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def begun(self) -> bool:
        """Whether a worker has been heard of."""
        return bool(self.n_heard or self.early)

    def hear(self, first: int, letters: Sequence[Letter]) -> None:
        """Pass letters on to the run, once those before `first` have been; a cancelled one does not care."""
        self.early[first] = letters
        while self.n_heard in self.early:
            following = self.early.pop(self.n_heard)
            for name, arguments in following:
                self._pass_on(name, arguments)
            if not following:
                break
            self.n_heard += len(following)
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

    async def heard_all(self, last: Sequence[Letter], n_sent: int) -> None:
        """Hear the last letters, once the others have come.

        Raises:
            Moved: they do not come, since their node went away meanwhile.
        """
        with anyio.move_on_after(GRACE_SECONDS) as time:
            while self.n_heard < n_sent:
                self.news.clear()
                await self.news.wait()
        if time.cancelled_caught:
            raise Moved("a node of the cluster is gone with what it had told")
        self.hear(n_sent, last)


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
        call = Call(next(self._numbers), work, self._gates)
        task = self._task.options(**self._cluster.needed_by(kind).options, name=f"tts {kind}")
        self._calls[call.number] = call
        try:
            shipped = task.remote(self._post, self._company, call.number, list(effects))
            results: Sequence[T] | TtsError = await self._result(shipped, call)
        finally:
            del self._calls[call.number]
            self._gates.end(call.number)
            self._dismiss(call)
            if not call.begun:
                work.began()  # the wait for a machine is nobody's time
        if isinstance(results, TtsError):
            raise results
        return results

    async def _result(self, shipped: Any, call: Call) -> Any:
        """Return what a task comes to; cancelling this cancels it, and waits for its clean-up.

        What has been finished all the same is returned: it is paid for.
        """
        future, results = asyncio.wrap_future(shipped.future()), None
        try:
            results, last, n_sent = await asyncio.shield(future)
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                results = await self._cancel(shipped, future, call)
            if isinstance(results, TtsError):
                raise
            return results
        except RayTaskError as error:
            raise Infra(f"on a worker of the cluster: {error.cause}") from None
        except RayError as error:
            told = f"a worker of the cluster is gone: {type(error).__name__}"
            raise Moved(told, begun=call.begun) from None
        with anyio.CancelScope(shield=True):
            await call.heard_all(last, n_sent)
        return results

    async def _cancel(self, shipped: Any, future: asyncio.Future[Any], call: Call) -> Any:
        """End a task: ask its worker, drop it where it has none yet, and kill the worker if it takes long.

        Return what it came to, an error where that is nothing.
        """
        self._dismiss(call)
        if not call.begun:
            RAY.cancel(shipped)
        await asyncio.wait([future], timeout=GRACE_SECONDS)
        if not future.done():
            RAY.cancel(shipped, force=True)
            await asyncio.wait([future], timeout=GRACE_SECONDS)
        if not future.done() or future.exception() is not None:
            return Infra("the effect was cancelled")
        results, last, n_sent = future.result()
        try:
            await call.heard_all(last, n_sent)
        except Moved as error:
            return error
        return results

    def _dismiss(self, call: Call) -> None:
        """Tell the worker, if there is one, that nothing more is wanted; once, since the post keeps it."""
        if call.begun and not call.dismissed:
            call.dismissed = True
            self._post.dismiss.remote(call.number)

    async def deliver(self) -> None:
        """Hear what the workers tell and answer what they ask, until cancelled."""
        async with anyio.create_task_group() as group:
            while True:
                for number, first, asks, letters in await self._post.take.remote():
                    call = self._calls.get(number)
                    if asks and letters[0][0] == "enter":
                        group.start_soon(self._gates.enter, first, number, letters[0][1])
                    elif asks:
                        self._post.answer.remote(first, _answer(call, letters[0]))
                    elif call is not None:
                        call.hear(first, letters)


def _answer(call: Call | None, letter: Letter) -> Any:
    """Return what the run has, or the error in its place."""
    name, arguments = letter
    if call is None:
        return Infra("the effect was cancelled")
    try:
        return getattr(call.work, name)(*arguments)
    except Exception as error:  # noqa: BLE001 - raised on the worker
        return error


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
        if address == "auto":
            raise UsageError(
                "this machine is in no Ray cluster: leave the address out to start one"
            ) from None
        said = str(error).partition("\n")[0]
        raise UsageError(f"no Ray cluster answers at {address}: {said}") from None
    except SystemExit:  # Ray's own answer to SIGTERM
        raise UsageError("interrupted while it connected to the cluster; nothing had begun") from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, ending)  # Ray's own would end the run without its clean-up


def _reach(address: str) -> None:
    """Try an address, since Ray itself tries for minutes, and cannot be interrupted meanwhile.

    Raises:
        OSError: nothing listens there, or what does speaks no HTTP/2, as a cluster does.
    """
    host, _, port = address.rpartition(":")
    if not host or os.environ.get("RAY_USE_TLS", "0") != "0":
        return
    with socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_SECONDS) as asked:
        asked.sendall(HELLO)
        if asked.recv(9)[3:4] != SETTINGS_FRAME:
            raise OSError("something else listens there")


def _check(cluster: RayCluster) -> None:
    """Check that some node could carry an effect of each kind out: Ray would wait for one for ever."""
    nodes: list[dict[str, float]] = [node["Resources"] for node in RAY.nodes() if node["Alive"]]
    for kind in sorted(SHIPPED, reverse=True):
        wanted = cluster.needed_by(kind).amounts
        most = {name: max((node.get(name, 0.0) for node in nodes), default=0.0) for name in wanted}
        for name, amount in wanted.items():
            if most[name] < amount:
                told = f"no node of the cluster has {_told(name, amount)}, which each {kind} needs"
                raise UsageError(f"{told}: the most is {_told(name, most[name])}")
        if not any(all(node.get(name, 0.0) >= amount for name, amount in wanted.items()) for node in nodes):
            told = " and ".join(_told(name, amount) for name, amount in wanted.items())
            raise UsageError(f"no node of the cluster has {told} together, which each {kind} needs")


def _told(name: str, amount: float) -> str:
    return f"{amount / 2**30:.4g} GiB of memory" if name == "memory" else f"{amount:g} {name}"


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
