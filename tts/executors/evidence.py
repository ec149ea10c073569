"""Carries out the telling of what tests came to: a rollout's summary with executions as captured evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tts.hostile import cut
from tts.protocols import Work
from tts.suites import Execution, Suite
from tts.types import Command, Effect, Rollout, Summary, TestRun

MAX_CODE = 2_000
MAX_OUTPUT = 1_000
"""So many characters of a test, and of what it printed, a judge is shown."""

NAMES = {
    "regression": "the repository's tests",
    "written": "tests written for the task",
    "own": "tests of one of the candidates",
    "given": "the user's tests",
}


class EvidenceRunner:
    """Adds executions to a summary. The inputs are the summary and the executions, in their order."""

    async def perform(self, effects: Sequence[Effect[Summary]], work: Work) -> Sequence[Summary]:
        """Return the summaries, one after another."""
        return [_told(effect, work) for effect in effects]


def _told(effect: Effect[Summary], work: Work) -> Summary:
    summary = work.load(effect.inputs[0], Summary)
    step = work.load(summary.rollout, Rollout).n_steps
    tests, commands = list(summary.tests), list(summary.commands)
    for execution in (work.load(key, Execution) for key in effect.inputs[1:]):
        suite = work.load(execution.suite, Suite)
        if suite.kind == "inputs":
            commands += _printed(step, suite, execution)
        elif execution.outcomes:
            tests.append(_counted(step, suite, execution))
    return replace(summary, key=effect.key, tests=tuple(tests), commands=tuple(commands))


def _counted(step: int, suite: Suite, execution: Execution) -> TestRun:
    passed = sum(outcome.status == "passed" for outcome in execution.outcomes)
    failed = len(execution.outcomes) - passed
    return TestRun(step, f"the harness ran {NAMES[suite.kind]}", int(failed > 0), passed, failed)


def _printed(step: int, suite: Suite, execution: Execution) -> list[Command]:
    return [
        Command(step, cut(case.code, MAX_CODE), int(ran.status != "passed"), cut(ran.output, MAX_OUTPUT))
        for case, ran in zip(suite.cases, execution.outcomes, strict=False)
    ]
