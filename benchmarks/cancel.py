"""What short-m@k saves and how fast: eight real streams, stopped when they pass the third shortest.

    python -m benchmarks.cancel [--quick] [--json]

All eight slots are taken together and all streams run at one speed, over HTTP on loopback.  T_m is the m-th
smallest number of thinking tokens.  For each losing stream: how long after its T_m-th token the server saw
its connection closed, and how many tokens it sent after that.  The paper's cost is Σ min(L_i, T_m)
(arXiv 2505.17813; METHODS §2).  A second race runs its streams at very different speeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tts
from benchmarks.goals import Figure, report, started
from benchmarks.served import served
from tts.models.names import model
from tts.testing.provider import Asked, Says, Script, Served

K, M = 8, 3
LENGTHS = (1500, 900, 4000, 1200, 2500, 6000, 1350, 3000)
SECONDS_PER_TOKEN = 0.005
ANSWER_TOKENS = 40


@dataclass(frozen=True, slots=True)
class Raced:
    """A race: what the server saw of each stream, by its order, and the lengths of the winners."""

    served: tuple[Served, ...]
    winners: tuple[float, ...]


def paced(lengths: Sequence[int], speeds: Sequence[float]) -> Script:
    """Return a script: the i-th stream thinks `lengths[i]` tokens, at `speeds[i]` seconds a token."""

    def script(asked: Asked) -> Says:
        i = asked.index % K
        return Says("word" * ANSWER_TOKENS, thinking_tokens=lengths[i], seconds_per_token=speeds[i])

    return script


def race(provider: str, lengths: Sequence[int], speeds: Sequence[float]) -> Raced:
    """Return what came of short-3@8 over streams of these lengths and seconds a token."""
    with served(paced, lengths, speeds) as server:
        agent = tts.chat(model(f"{provider}/m", base_url=server.url(provider)))
        result = tts.solve_sync("Think.", agent=agent, strategy=f"race(k={K}, m={M})", workers=K)
    requests = sorted(server.requests, key=lambda request: request.index)
    return Raced(tuple(requests), tuple(r.length or 0.0 for r in result.pool))


def even(provider: str, lengths: Sequence[int]) -> list[Figure]:
    """Return the figures of a race at one speed."""
    raced = race(provider, lengths, [SECONDS_PER_TOKEN] * K)
    limit = sorted(lengths)[M - 1]
    losers = [s for s, n in zip(raced.served, lengths, strict=True) if n > limit]
    late = [1000 * ((s.closed_at or 0.0) - s.sent_at[limit - 1]) for s in losers]
    extra = [100 * (s.tokens_sent - limit) / limit for s in losers]
    thought = sum(s.thinking_tokens for s in raced.served)
    aim = sum(min(n, limit) for n in lengths)
    return [
        Figure(f"{provider}: losers closed by the client", _closed(losers), len(losers), unit="streams"),
        Figure(f"{provider}: slowest close after T_m", max(late), 50, kind="most", unit="ms"),
        Figure(f"{provider}: most tokens sent after T_m", max(extra), 1, kind="most", unit="% of T_m"),
        Figure(f"{provider}: thinking tokens over Σ min(L_i, T_m)", thought / aim, 1, tolerance=0.02),
        Figure(f"{provider}: winners are the three shortest", _right(raced, lengths), 1),
    ]


def uneven(provider: str, lengths: Sequence[int]) -> list[Figure]:
    """Return the figure of a race in which the shortest streams are the slowest."""
    limit = sorted(lengths)[M - 1]
    raced = race(provider, lengths, [0.004 if n <= limit else 0.0005 for n in lengths])
    return [Figure(f"{provider}, uneven speeds: winners are the three shortest", _right(raced, lengths), 1)]


def _closed(losers: Sequence[Served]) -> float:
    return float(sum(stream.closed_by == "client" for stream in losers))


def _right(raced: Raced, lengths: Sequence[int]) -> float:
    return float(list(raced.winners) == sorted(lengths)[:M])


def main(flags: Sequence[str]) -> int:
    """Run, print and return the exit code."""
    figures: list[Figure] = []
    for provider in ("openai", "anthropic"):
        figures += even(provider, LENGTHS)
        figures += [] if "--quick" in flags else uneven(provider, LENGTHS)
    return report("cancel", figures, as_json="--json" in flags)


if __name__ == "__main__":
    started(main, __doc__)
