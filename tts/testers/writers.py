"""Who writes tests: the user, a model that is asked, or an agent that is asked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tts.errors import Infra, UsageError
from tts.executors.rollout import RolloutRunner
from tts.models.chat import Ask, Chat, Reply
from tts.models.sharing import Answered, several
from tts.models.tokens import most_tokens
from tts.prompts import Prompts
from tts.prompts.fence import fenced, plain
from tts.protocols import Agent, Author, Workspaces, bound_of
from tts.suites import Suite, SuiteKind, TestCase
from tts.testers.own import MOST_BYTES, added, case_of
from tts.types import FREE, Budget, Effect, Rollout, Step, Task, Usage, digest

T = TypeVar("T")

BLOCK = re.compile(r"^```(?:python|py)?[ \t]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


class Writer(Protocol):
    """Writes suites of some kinds. `bound_for` is the most that one suite can cost."""

    @property
    def fingerprint(self) -> str: ...

    def bound_for(self, task: Task, authors: Sequence[Rollout]) -> Budget: ...

    async def write(
        self, task: Task, kind: SuiteKind, authors: Sequence[Author], *, n: int = 1, start: int = 0
    ) -> list[Suite]:
        """Return n independent suites, with the numbers from `start` on."""
        ...


@dataclass(frozen=True, slots=True)
class GivenTests:
    """The user's tests, by name of file; each is a script, or functions for pytest."""

    files: Mapping[str, str]

    @classmethod
    def read(cls, paths: Sequence[Path]) -> GivenTests:
        """Return the tests of files.

        Raises:
            UsageError: one cannot be read.
        """
        found: dict[str, str] = {}
        for path in paths:
            try:
                found[path.name] = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"the tests {path} cannot be read: {error}") from None
        return cls(found)

    @property
    def fingerprint(self) -> str:
        """A hash of the files."""
        return f"given/1 {digest(dict(self.files))[:12]}"

    def bound_for(self, task: Task, authors: Sequence[Rollout]) -> Budget:
        """Return that they cost nothing."""
        return FREE

    async def write(
        self, task: Task, kind: SuiteKind, authors: Sequence[Author], *, n: int = 1, start: int = 0
    ) -> list[Suite]:
        """Return the files as tests."""
        return [Suite(cases=tuple(case_of(*file) for file in self.files.items()))] * n


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelTests:
    """Asks a model for tests, `per_suite` of them with one question.

    With two authors and the kind `inputs` it is asked for inputs that tell them apart.
    """

    model: Chat
    prompts: Prompts = Prompts()
    per_suite: int = 4

    @property
    def fingerprint(self) -> str:
        """The model, the prompts and the number."""
        return f"tests/1/{self.model.fingerprint}/{self.prompts.digest('tests')}/{self.per_suite}"

    def bound_for(self, task: Task, authors: Sequence[Rollout]) -> Budget:
        """Return the most that one question can cost."""
        kind: SuiteKind = "inputs" if authors else "written"
        return self.model.bound(most_tokens(self._ask(task, kind, authors).text))

    async def ready(self) -> None:
        """Check that the model can be had, where it can tell."""
        await self.model.ready()

    async def write(
        self, task: Task, kind: SuiteKind, authors: Sequence[Author], *, n: int = 1, start: int = 0
    ) -> list[Suite]:
        """Return the tests of n answers, each in a suite; an answer that could not be had is marked so."""
        ask = self._ask(task, kind, [rollout for rollout, _ in authors])
        return [_suite(reply) for reply in await several(self.model, ask, n)]

    def _ask(self, task: Task, kind: SuiteKind, authors: Sequence[Rollout]) -> Ask:
        shown = [fenced(author.output or "") for author in authors]
        values: dict[str, Any] = {"n": self.per_suite, "repository": bool(task.repo)}
        parts = [self.prompts.part("tests", "task", task=plain(task.prompt))]
        if shown:
            parts.append(self.prompts.part("tests", "pair", candidates=shown))
        wanted = "inputs" if kind == "inputs" else "tests"
        parts.append(self.prompts.part("tests", wanted, **values))
        return Ask(self.prompts.part("tests", "system"), tuple(parts))


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentTests:
    """Asks an agent for a test, in a clean workspace of its own; what it adds as test files is the suite."""

    agent: Agent
    workspaces: Workspaces
    prompts: Prompts = Prompts()

    @property
    def fingerprint(self) -> str:
        """The agent's, and the prompt's."""
        return f"tests/1/{self.agent.fingerprint}/{self.prompts.digest('tests')}"

    def bound_for(self, task: Task, authors: Sequence[Rollout]) -> Budget:
        """Return the most that one attempt can cost."""
        return bound_of(self.agent)

    async def write(
        self, task: Task, kind: SuiteKind, authors: Sequence[Author], *, n: int = 1, start: int = 0
    ) -> list[Suite]:
        """Return the suites of n attempts, one after another."""
        told = self.prompts.part("tests", "agent", task=plain(task.prompt))
        asked = Task(task.id, told, task.repo, task.base_commit, task.metadata)
        runner = RolloutRunner(self.agent, self.workspaces)
        bound = bound_of(self.agent)
        suites: list[Suite] = []
        for i in range(start, start + n):
            effect = Effect("rollout", asked, Rollout, self.agent.fingerprint, occurrence=i, bound=bound)
            (rollout,) = await runner.perform([effect], _Deaf())
            cases = tuple(TestCase(code) for _, code in added(rollout.patch or ""))
            suites.append(Suite(cases=cases, usage=rollout.usage, error=rollout.error))
        return suites


class _Deaf:
    """The ears of an attempt whose steps are not kept."""

    def load(self, key: str, returns: type[T]) -> T:
        raise KeyError(key)

    def steps(self, key: str) -> Sequence[Step]:
        raise KeyError(key)

    def began(self) -> None:
        """It begins at once."""

    def record(self, step: Step) -> None:
        """Steps are not kept."""

    def spend(self, usage: Usage) -> None:
        """The rollout tells its usage."""

    def progress(
        self, length: float | None, *, thought: bool = False, signals: Mapping[str, float] | None = None
    ) -> None:
        """Nobody waits for news."""


def blocks(text: str) -> Iterator[str]:
    """Yield the code blocks of an answer."""
    for match in BLOCK.finditer(text if text.endswith("\n") else text + "\n"):
        if match[1].strip() and len(match[1]) <= MOST_BYTES:
            yield match[1]


def _suite(reply: Answered) -> Suite:
    if not isinstance(reply, Reply):
        return Suite(status="infra" if isinstance(reply, Infra) else "failed", error=str(reply))
    counts = Counter(blocks(reply.text))
    cases = tuple(TestCase(code, count=n) for code, n in counts.items())
    return Suite(cases=cases, usage=reply.usage, error="" if cases else "no test could be read")
