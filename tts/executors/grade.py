"""Carries out a grade: the only runner that meets the truth, and only the experiment asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tts.errors import Infra
from tts.protocols import Grader, Work
from tts.types import Effect, Grade, Rollout


class GradeRunner:
    """Grades one rollout. A grader that fails leaves a failed grade that counts as not resolved."""

    def __init__(self, grader: Grader) -> None:
        self._grader = grader

    async def perform(self, effects: Sequence[Effect[Grade]], work: Work) -> Sequence[Grade]:
        """Return the grades, one after another."""
        return [await self._grade(effect, work) for effect in effects]

    async def _grade(self, effect: Effect[Grade], work: Work) -> Grade:
        (key,) = effect.inputs
        try:
            grade = replace(await self._grader.grade(effect.task, work.load(key, Rollout)), rollout=key)
        except (Infra, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - one broken grading must not end the run
            grade = Grade(key, status="failed", detail=f"{type(error).__name__}: {error}")
        return grade
