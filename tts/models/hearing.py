"""What has been heard of an answer: its pieces put together, and what they took."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tts.models.chat import Ask, Began, Delta, Ended, Event, Reply, Stop
from tts.models.faults import Again
from tts.models.secrets import without_keys
from tts.models.tokens import estimated_tokens
from tts.types import Usage


@dataclass(slots=True, eq=False)
class Hearing:
    """What has been heard of one try."""

    ask: Ask
    began: bool = False
    prompt: Usage = Usage()
    billed: Usage | None = None
    texts: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    thoughts: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    stops: dict[int, Stop] = field(default_factory=dict[int, Stop])

    def take(self, event: Event) -> None:
        """Keep an event."""
        if isinstance(event, Delta):
            if event.text:
                self.texts.setdefault(event.choice, []).append(event.text)
            if event.thinking:
                self.thoughts.setdefault(event.choice, []).append(event.thinking)
        elif isinstance(event, Began):
            self.began, self.prompt = True, sensible(event.usage)
        elif isinstance(event, Ended):
            self.stops[event.choice] = event.stop
        else:
            self.billed = sensible(event.usage)

    def check(self) -> None:
        """Check that the stream came to its end.

        Raises:
            Again: it was cut short.
        """
        heard = {*self.texts, *self.thoughts, *self.stops}
        if not self.stops or heard - self.stops.keys():
            raise Again("the stream was cut short")

    @property
    def usage(self) -> Usage:
        """What it took, as the provider counted or, without its word, as far as can be told."""
        if self.billed is not None:
            return self.billed
        output = sum(self._tokens(choice) for choice in {*self.texts, *self.thoughts})
        thinking = sum(estimated_tokens("".join(pieces)) for pieces in self.thoughts.values())
        told = self.prompt if self.prompt.input_tokens else Usage(1, estimated_tokens(self.ask.text))
        return replace(told, calls=1, output_tokens=output, reasoning_tokens=thinking, estimated=True)

    def replies(self, lost: Usage, usage: Usage, cost: tuple[float, float] | None) -> list[Reply]:
        """Return the answers; the first bears the prompt and what was lost, each its share of the output."""
        choices = sorted(self.stops)
        usages = shares(usage, [self._tokens(choice) for choice in choices], cost)
        usages[0] = lost + usages[0]
        return [
            Reply(
                text=without_keys("".join(self.texts.get(choice, ()))),
                thinking=without_keys("".join(self.thoughts.get(choice, ()))),
                stop=self.stops[choice],
                usage=used,
            )
            for choice, used in zip(choices, usages, strict=True)
        ]

    def _tokens(self, choice: int) -> int:
        pieces = [*self.texts.get(choice, ()), *self.thoughts.get(choice, ())]
        return estimated_tokens("".join(pieces))


def shares(usage: Usage, sizes: list[int], cost: tuple[float, float] | None) -> list[Usage]:
    """Return a request's usage split over its answers by their sizes; the first bears the prompt.

    `cost` is what the input and the output cost, in dollars, None where the price is unknown.
    """
    if len(sizes) == 1:
        return [usage]
    total = sum(sizes) or 1
    rest = [
        Usage(
            output_tokens=usage.output_tokens * size // total,
            reasoning_tokens=usage.reasoning_tokens * size // total,
            known_usd=cost[1] * size / total if cost is not None else 0.0,
            estimated=usage.estimated,
        )
        for size in sizes[1:]
    ]
    others = sum(rest, Usage())
    first = replace(
        usage,
        output_tokens=usage.output_tokens - others.output_tokens,
        reasoning_tokens=usage.reasoning_tokens - others.reasoning_tokens,
        known_usd=usage.known_usd - others.known_usd,
    )
    return [first, *rest]


def sensible(usage: Usage) -> Usage:
    """Return a provider's figures with no part larger than its whole, and none below zero."""
    input_tokens, output_tokens = max(0, usage.input_tokens), max(0, usage.output_tokens)
    cached = min(max(0, usage.cached_input_tokens), input_tokens)
    return replace(
        usage,
        input_tokens=input_tokens,
        cached_input_tokens=cached,
        cache_write_tokens=min(max(0, usage.cache_write_tokens), input_tokens - cached),
        output_tokens=output_tokens,
        reasoning_tokens=max(0, usage.reasoning_tokens),
    )
