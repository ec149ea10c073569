"""Carries out verdicts: loads the candidates in the order shown and asks the judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

from tts.errors import Infra
from tts.models.meter import Meter, metered
from tts.protocols import Judge, Work
from tts.types import Candidate, Effect, Rollout, Summary, Usage, Verdict


class VerdictRunner:
    """Asks the judge once for all votes on one display order. A judge that fails abstains."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    async def perform(self, effects: Sequence[Effect[Verdict]], work: Work) -> Sequence[Verdict]:
        """Return one verdict per effect; missing ones are abstentions."""
        shown = [_candidate(key, work) for key in effects[0].inputs]
        keys = tuple(candidate.rollout.key for candidate in shown)
        with metered(work.spend) as meter:
            try:
                given = await self._judge.compare(effects[0].task, shown, n=len(effects))
                verdicts = _billed([_checked(verdict, keys) for verdict in given], meter)
            except (Infra, ConnectionError):
                raise
            except Exception as error:  # noqa: BLE001 - a judge that fails abstains
                failed = Verdict(keys, status="failed", reason=f"{type(error).__name__}: {error}")
                verdicts = [replace(failed, usage=meter.usage), *[failed] * (len(effects) - 1)]
        missing = [Verdict(keys, status="failed", reason="the judge gave too few verdicts")] * len(effects)
        return [*verdicts, *missing][: len(effects)]


def _billed(verdicts: list[Verdict], meter: Meter) -> list[Verdict]:
    """Return the verdicts with all that was spent: what they do not tell of is the first one's."""
    beyond = meter.beyond(sum((verdict.usage for verdict in verdicts), Usage()))
    return [replace(v, usage=v.usage + beyond) if i == 0 else v for i, v in enumerate(verdicts)]


def _candidate(summary_key: str, work: Work) -> Candidate:
    summary = work.load(summary_key, Summary)
    return Candidate(work.load(summary.rollout, Rollout), summary)


def _checked(verdict: Verdict, shown: tuple[str, ...]) -> Verdict:
    """Return the verdict with its order; one that names nobody who was shown is an abstention."""
    scores = verdict.scores if all(isfinite(score) for score in verdict.scores) else ()
    if verdict.preferred is not None and verdict.preferred not in shown:
        verdict = replace(verdict, preferred=None, reason="named nobody who was shown")
    return replace(verdict, shown=shown, scores=scores)
