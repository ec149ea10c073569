"""The frozen nouns of selection by tests: a test, a suite of them, and what they came to on one rollout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from tts.types import Status, Usage

SuiteKind = Literal["regression", "written", "own", "given", "inputs"]
"""Where tests come from.

`regression` are those that the repository has; `written` are written for the task, by a model or an agent;
`own` are what a candidate left in its trajectory; `given` are the user's. `inputs` are no tests but programs
whose outputs are compared.
"""

WAYS: Mapping[str, str] = {
    "regression": "a command that runs the repository's tests",
    "written": "a model or an agent that writes tests",
    "own": "attempts with trajectories",
    "given": "tests of yours",
    "inputs": "a model that writes inputs",
}
"""What each kind of tests needs."""

TestStatus = Literal["passed", "failed", "error", "timeout"]
"""How one test ended; `error`: it could not be run, or ended before it had come to its end."""


@dataclass(frozen=True, slots=True)
class TestCase:
    """One test, as a Python script that fails by an exception or an exit status other than 0.

    With a `command` the code is a file at `path` (relative to the workspace) and the shell command is what
    is run; it fails by its exit status. `count` says how often it was written in the same words.
    """

    __test__: ClassVar[bool] = False  # pytest would take the name for a test class

    code: str
    path: str = ""
    command: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True)
class Suite:
    """Tests of one kind and one source; `authors` are the keys of the rollouts that they were made from.

    `error` says why there are none, where something went wrong. A suite of the kind `regression` has no
    cases: its tests are known by name once they have run.
    """

    key: str = ""
    kind: SuiteKind = "written"
    authors: tuple[str, ...] = ()
    cases: tuple[TestCase, ...] = ()
    status: Status = "finished"
    usage: Usage = Usage()
    error: str = ""


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """How one test ended, and what it printed, cut to size. The name is its number in the suite, from 0,
    or what the repository's tests call it."""

    __test__: ClassVar[bool] = False

    name: str
    status: TestStatus
    output: str = ""


@dataclass(frozen=True, slots=True)
class Execution:
    """A suite run on one rollout's output, or, where `rollout` is empty, on the repository before any change.

    `error` says why nothing could be run, such as a patch that does not apply; there are no outcomes then.
    """

    key: str = ""
    suite: str = ""
    rollout: str = ""
    outcomes: tuple[TestOutcome, ...] = ()
    status: Status = "finished"
    usage: Usage = Usage()
    seconds: float = 0.0
    error: str = ""

    @property
    def statuses(self) -> dict[str, TestStatus]:
        """How each test ended, by name."""
        return {outcome.name: outcome.status for outcome in self.outcomes}
