"""Carries out a summary: reads the trajectory from the store and hands it to the summarizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tts.errors import Infra
from tts.models.meter import metered
from tts.protocols import Summarizer, Work
from tts.types import Effect, Rollout, Summary


class SummaryRunner:
    """Summarizes one rollout. A summarizer that fails leaves a summary without content, marked failed."""

    def __init__(self, summarizer: Summarizer) -> None:
        self._summarizer = summarizer

    async def perform(self, effects: Sequence[Effect[Summary]], work: Work) -> Sequence[Summary]:
        """Return the summaries, one after another."""
        return [await self._summarize(effect, work) for effect in effects]

    async def _summarize(self, effect: Effect[Summary], work: Work) -> Summary:
        (key,) = effect.inputs
        rollout = work.load(key, Rollout)
        with metered(work.spend) as meter:
            try:
                given = await self._summarizer.summarize(effect.task, rollout, work.steps(key))
            except (Infra, ConnectionError):
                raise
            except Exception as error:  # noqa: BLE001 - a summarizer's failure must not harm the rollout
                reason = f"{type(error).__name__}: {error}"
                given = Summary(status="failed", covered=0.0, error=reason)
        usage = given.usage + meter.beyond(given.usage)
        return replace(given, key=effect.key, rollout=key, outcome=rollout.status, usage=usage)
