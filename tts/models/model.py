"""A model that can be asked: a provider's API with its limits, retries and prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import anyio

from tts.errors import Declined, Infra, Unusable, UsageError
from tts.models.call import Call, Patience
from tts.models.chat import Ask, Heard, Reply, Settings, Wire, unheard
from tts.models.connections import Connections, Line, connected
from tts.models.faults import Again, meaning
from tts.models.prices import Price, dollars
from tts.models.providers import shares_of, wire_of
from tts.models.throttle import Limits
from tts.types import Budget, Usage, digest


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model by name, as `tts.models.names.model` makes it; implements `tts.models.chat.Chat`.

    `name` is `provider/model`. `base_url` is another server than the provider's own, `key_name` the
    environment variable that holds its key. `price` goes before the published one.
    """

    name: str
    settings: Settings = Settings()
    base_url: str = ""
    key_name: str = ""
    price: Price | None = None
    limits: Limits = Limits()
    patience: Patience = Patience()

    @property
    def fingerprint(self) -> str:
        """The name and a hash of the settings; the server's address, price and limits are not in it."""
        said = [self.settings.max_output_tokens, self.settings.temperature, dict(self.settings.options)]
        return f"{self.name}#{digest([*said, self.settings.schemas])[:12]}"

    def __hash__(self) -> int:
        return hash((self.fingerprint, self.base_url))

    @property
    def shares(self) -> Literal["n", "prefix"]:
        """How answers to one prompt share its cost."""
        return shares_of(self.name)

    async def ask(self, ask: Ask, *, heard: Heard = unheard) -> list[Reply]:
        """Return `ask.n` replies; see `tts.models.chat.Chat` for what it raises."""
        async with connected() as connections:
            line = self.line(connections)
            call = Call(self.name, self.settings, self.price, self.patience, line, ask, heard)
            with anyio.move_on_after(self.patience.total_seconds) as time:
                return await call.replies()
        assert time.cancelled_caught
        raise Infra(f"{self.name}: no answer within {self.patience.total_seconds:g} seconds; {call.last}")

    async def ready(self) -> bool:
        """Check, at no cost, that the provider can be reached, takes the key and knows the model.

        Return whether it said that it knows the model.

        Raises:
            Unusable: one of these is not so; what cannot be told passes.
        """
        async with connected() as connections:
            try:
                wire = self.line(connections).wire
                known = await self._known(wire)
            except UsageError as error:
                raise Unusable(str(error)) from None
        if known and wire.model not in known:
            raise Unusable(f"{self.name}: {wire.place} does not serve it; it has {', '.join(known[:5])}")
        return bool(known)

    async def _known(self, wire: Wire) -> Sequence[str]:
        """What the server knows; empty where it cannot tell, or is too busy to."""
        for wait_seconds in (0.2, 0.5, 1.0, 0.0):
            try:
                return await wire.known()
            except Exception as error:  # noqa: BLE001 - `meaning` says what it is
                found = meaning(error, self.name)
                if isinstance(found, Declined):
                    return ()
                if not isinstance(found, Again):
                    raise found from None
                unreachable = not hasattr(error, "status_code")
                told = str(found)
            await anyio.sleep(wait_seconds)
        if unreachable:
            raise Unusable(f"{wire.place} cannot be reached: {told}")
        return ()

    def line(self, connections: Connections) -> Line:
        """Return the way to the model."""
        wire = wire_of(self.name, self.base_url, self.key_name, self.patience.stall_seconds, connections)
        return connections.line(wire, self.limits)

    def bound(self, prompt_tokens: int, *, n: int = 1) -> Budget:
        """Return the most that an ask can cost: one whole call, and as much again for tries that fail."""
        usage = Usage(calls=1, input_tokens=prompt_tokens, output_tokens=n * self.settings.max_output_tokens)
        written = replace(usage, cache_write_tokens=prompt_tokens)
        costs = [dollars(one, self.name, self.price) for one in (usage, written)]
        known = [sum(cost) for cost in costs if cost is not None]
        return Budget(
            usd=2 * max(known) if known else None,
            tokens=2 * usage.tokens,
            seconds=self.patience.total_seconds + 60.0,
        )
