"""Carries out a grade: the only runner that meets the truth, and only the experiment asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tts.errors import Infra
from tts.protocols import Grader, Work
from tts.types import Effect, Grade, Rollout


class GradeRunner:
    """Grades one rollout. A grader that fails leaves no grade, and is asked again on the next run."""

    def __init__(self, grader: Grader) -> None:
        self._grader = grader

    async def perform(self, effects: Sequence[Effect[Grade]], work: Work) -> Sequence[Grade]:
        """Return the grades, one after another."""
        return [await self._grade(effect, work) for effect in effects]

    async def _grade(self, effect: Effect[Grade], work: Work) -> Grade:
        (key,) = effect.inputs
        try:
            grade = replace(await self._grader.grade(effect.task, work.load(key, Rollout)), rollout=key)
        except Exception as error:
            raise Infra(f"the grader failed: {type(error).__name__}: {error}") from error
        if grade.status != "finished" or not 0 <= grade.score <= 1:
            raise Infra(f"the grader gave no grade: {grade.detail or grade.score}")
        return grade
