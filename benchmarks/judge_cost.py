"""What judging costs: a tournament of 16 candidates with 8 votes a pair, against as many plain calls.

    python -m benchmarks.judge_cost [--quick] [--json]

The real engine, judge and SDKs ask a real server on loopback, which counts prompt tokens and caching as the
providers do.  Summaries have 20,000 tokens each (quick: 5,000).  On the Anthropic path prompt tokens are
priced as input, writes to the cache at 1.25 and reads from it at 0.1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import anyio

import tts
from benchmarks.goals import Figure, report, started
from tts.judges.model import ModelJudge
from tts.models.names import model
from tts.testing.provider import Asked, ModelServer, Says
from tts.types import Rollout, Step, Summary, Task

N_CANDIDATES, N_VOTES = 16, 8
WRITE, READ = 1.25, 0.1
TASK = Task("bench", "Mend the parser so that it accepts an empty line.")


@dataclass(frozen=True, slots=True)
class LongSummarizer:
    """Summaries of a given size; each says how strong its candidate is."""

    tokens: int
    fingerprint: str = "long"

    async def summarize(self, task: Task, rollout: Rollout, steps: Sequence[Step]) -> Summary:
        """Return the summary."""
        line = f"strength {rollout.answer}: the same words again and again; "
        return Summary(claims=((line * (1 + 4 * self.tokens // len(line)))[: 4 * self.tokens],))


def prefers_the_stronger(asked: Asked) -> Says:
    """Return a verdict for the candidate whose summary says the largest strength, so that nothing is tied."""
    told = re.findall(r"# Candidate ([A-Z])\n.*?strength (\d+)", asked.prompt, re.DOTALL)
    best = max(told, key=lambda pair: int(pair[1]))
    return Says(json.dumps({"reasons": "It is stronger.", "verdict": best[0]}))


def share_of_naive(provider: str, group: int, tokens: int) -> float:
    """Return what a tournament bills of prompt tokens, as a share of what as many plain calls would."""
    with ModelServer(prefers_the_stronger, keep_times=False) as server:
        url = server.openai_url if provider == "openai" else server.anthropic_url
        judge = ModelJudge(model=model(f"{provider}/m", base_url=url), max_candidate_tokens=tokens + 1000)
        select = partial(
            tts.select,
            strategy=f"rtv(group={group}, votes={N_VOTES}, tie_rounds=0)",
            judge=judge,
            summarizer=LongSummarizer(tokens),
        )
        result = anyio.run(select, TASK, [str(i) for i in range(N_CANDIDATES)])
        served = server.requests
    votes = sum(request.asked.n for request in served if request.asked is not None)
    assert votes == result.choice.spending.verdicts, f"{votes} votes were paid for"
    assert result.winner.answer == str(N_CANDIDATES - 1), "the strongest wins"
    naive = sum(r.prompt_tokens * r.asked.n for r in served if r.asked is not None)
    if provider == "openai":
        return sum(request.prompt_tokens for request in served) / naive
    plain = sum(r.prompt_tokens - r.cached_tokens - r.cache_write_tokens for r in served)
    written, read = (
        sum(getattr(r, name) for r in served) for name in ("cache_write_tokens", "cached_tokens")
    )
    return (plain + WRITE * written + READ * read) / naive


def main(flags: Sequence[str]) -> int:
    """Run, print and return the exit code."""
    tokens = 5_000 if "--quick" in flags else 20_000
    shares = {
        (provider, group): 100 * share_of_naive(provider, group, tokens)
        for group in (2, 4)
        for provider in ("openai", "anthropic")
    }
    figures = [
        Figure("OpenAI path, G=2: prompt tokens", shares["openai", 2], 30, kind="most", unit="%"),
        Figure("Anthropic path, G=2: priced tokens", shares["anthropic", 2], 40, kind="most", unit="%"),
        Figure("OpenAI path, G=4 (no goal)", shares["openai", 4], 100, kind="most", unit="%"),
        Figure("Anthropic path, G=4 (no goal)", shares["anthropic", 4], 100, kind="most", unit="%"),
    ]
    return report("judge_cost", figures, as_json="--json" in flags)


if __name__ == "__main__":
    started(main, __doc__)
