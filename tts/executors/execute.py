"""Carries out the running of tests: loads the suite and the rollout and hands both to the tester."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from tts.errors import Infra
from tts.models.meter import metered
from tts.protocols import Tester, Work
from tts.suites import Execution, Suite
from tts.types import Effect, Rollout


class ExecuteRunner:
    """Runs a suite on a rollout's output; with the suite as the only input, before any change."""

    def __init__(self, tester: Tester) -> None:
        self._tester = tester

    async def perform(self, effects: Sequence[Effect[Execution]], work: Work) -> Sequence[Execution]:
        """Return the executions, one after another."""
        return [await self._execute(effect, work) for effect in effects]

    async def _execute(self, effect: Effect[Execution], work: Work) -> Execution:
        suite = work.load(effect.inputs[0], Suite)
        rollout = work.load(effect.inputs[1], Rollout) if len(effect.inputs) > 1 else None
        started = time.monotonic()
        with metered(work.spend) as meter:
            try:
                made = await self._tester.execute(effect.task, suite, rollout)
            except (Infra, ConnectionError):
                raise
            except Exception as error:  # noqa: BLE001 - what breaks the tests must not harm the siblings
                made = Execution(status="failed", error=f"{type(error).__name__}: {error}")
        seconds, usage = time.monotonic() - started, made.usage + meter.beyond(made.usage)
        whose = rollout.key if rollout else ""
        return replace(made, key=effect.key, suite=suite.key, rollout=whose, seconds=seconds, usage=usage)
