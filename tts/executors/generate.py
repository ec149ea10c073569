"""Carries out the writing of tests: loads the rollouts that they are made from and asks the tester."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tts.errors import Infra
from tts.models.meter import metered
from tts.protocols import Tester, Work
from tts.suites import Suite
from tts.types import Effect, Rollout, Usage


class GenerateRunner:
    """Asks the tester once for all suites on one question. One that fails leaves suites without tests."""

    def __init__(self, tester: Tester) -> None:
        self._tester = tester

    async def perform(self, effects: Sequence[Effect[Suite]], work: Work) -> Sequence[Suite]:
        """Return one suite per effect; missing ones are marked failed."""
        kind: Any = effects[0].params["kind"]
        authors = [(work.load(key, Rollout), work.steps(key)) for key in effects[0].inputs]
        with metered(work.spend) as meter:
            try:
                start = effects[0].occurrence
                given = await self._tester.write(effects[0].task, kind, authors, n=len(effects), start=start)
            except (Infra, ConnectionError):
                raise
            except Exception as error:  # noqa: BLE001 - a tester's failure must not harm the candidates
                given = [Suite(status="failed", error=f"{type(error).__name__}: {error}")]
        missing = Suite(status="failed", error="the tester wrote too few suites")
        suites = [*given, *[missing] * len(effects)][: len(effects)]
        beyond = meter.beyond(sum((suite.usage for suite in suites), Usage()))
        suites[0] = replace(suites[0], usage=suites[0].usage + beyond)
        named = {"kind": kind, "authors": effects[0].inputs}
        return [replace(s, key=effect.key, **named) for effect, s in zip(effects, suites, strict=True)]
