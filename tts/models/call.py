"""One ask of a model: its tries, what each took, and when to give up."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import anyio
import tenacity

from tts.errors import Infra, LimitReached
from tts.models.chat import Again as Void
from tts.models.chat import Ask, Began, Delta, Heard, Reply, Settings
from tts.models.connections import Line
from tts.models.faults import Again, meaning, unreadable
from tts.models.hearing import Hearing
from tts.models.meter import spent
from tts.models.prices import Price, dollars, priced
from tts.models.throttle import Place
from tts.models.tokens import estimated_tokens
from tts.types import Usage

ODD = (AttributeError, KeyError, IndexError, TypeError, ValueError)
"""What an SDK, or the reading of its events, raises on an answer of a form that it does not know."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on. `total_seconds` is for one ask, retries and their waits included.

    `stall_seconds` is the longest silence inside a stream. Waits between tries are random, up to a bound
    that starts at `first_wait_seconds` and doubles to `longest_wait_seconds`.
    """

    total_seconds: float = 1800.0
    stall_seconds: float = 300.0
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 60.0


@dataclass(slots=True, eq=False)
class Call:
    """One ask with its tries."""

    name: str
    settings: Settings
    price: Price | None
    patience: Patience
    line: Line
    ask: Ask
    heard: Heard
    lost: Usage = Usage()
    last: str = "it never began"

    async def replies(self) -> list[Reply]:
        """Return the replies of the first try that succeeds."""
        tries = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Again),
            wait=self._wait_seconds,
            stop=self._is_over,
            sleep=anyio.sleep,
            reraise=True,
        )
        try:
            return await tries(self._try)
        except Again as again:
            raise Infra(str(again)) from None

    @property
    def _most_tokens(self) -> int:
        """What one whole try can take."""
        return estimated_tokens(self.ask.text) + self.ask.n * self.settings.max_output_tokens

    async def _try(self) -> list[Reply]:
        async with self.line.throttle.place(self._most_tokens) as place:
            heard = Hearing(self.ask)
            with self._attributed(heard, place):
                async with self.line.wire.stream(self.ask, self.settings) as events:
                    async for event in events:
                        heard.take(event)
                        if isinstance(event, (Began, Delta)):
                            self.heard(event)
                heard.check()
                usage = priced(heard.usage, self.name, self.price)
            self.line.throttle.went_well(place, usage.tokens)
        spent(usage)
        return heard.replies(self.lost, usage, dollars(usage, self.name, self.price))

    @contextmanager
    def _attributed(self, heard: Hearing, place: Place) -> Generator[None]:
        """Count what a failed try took, and say what its error means."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - `meaning` says what it is
            odd = heard.began and isinstance(error, ODD)
            found = unreadable(error, self.name) if odd else meaning(error, self.name)
            if isinstance(found, Again):
                self.last = str(found)
                if found.crowded:
                    self.line.throttle.crowded(place, found.retry_after)
                self.heard(Void())
            self._lose(heard, place, again=isinstance(found, Again))
            raise found from None
        except BaseException:
            self._cancelled(heard, place)
            raise

    def _lose(self, heard: Hearing, place: Place, *, again: bool) -> None:
        usage = priced(heard.usage, self.name, self.price) if heard.began else Usage()
        self.line.throttle.took(place, usage.tokens)
        lost = replace(usage, retries=int(again), retry_tokens=usage.tokens, retry_usd=usage.known_usd)
        self.lost = self.lost + lost
        spent(lost)

    def _cancelled(self, heard: Hearing, place: Place) -> None:
        """Count what arrived; the cancellation goes on, whatever the attempt's limits say."""
        usage = priced(heard.usage, self.name, self.price)
        self.line.throttle.took(place, usage.tokens)
        try:
            spent(usage)
        except LimitReached:
            self.last = "cancelled past its limit"

    def _wait_seconds(self, state: tenacity.RetryCallState) -> float:
        patience = self.patience
        jittered = tenacity.wait_random_exponential(
            multiplier=patience.first_wait_seconds, max=patience.longest_wait_seconds
        )(state)
        again = state.outcome.exception() if state.outcome is not None else None
        return (again.retry_after if isinstance(again, Again) else 0.0) + jittered

    def _is_over(self, state: tenacity.RetryCallState) -> bool:
        """Whether the next try would come too late, or what is lost leaves no room for it in the bound."""
        late = tenacity.stop_before_delay(self.patience.total_seconds)(state)
        return late or self.lost.tokens > self._most_tokens
