"""The tester of a command line: who writes tests, and where they run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tts.agents.tested import TestCommand
from tts.cli.models import Voices
from tts.errors import UsageError
from tts.experiment import strategy_of
from tts.models.providers import is_model
from tts.pipeline import needs
from tts.prompts import Prompts
from tts.protocols import Agent, Tester, Workspaces
from tts.registry import estimator
from tts.sandboxes.box import Sandbox

AGENT = "agent"
"""As --test-writer: the agent that makes the attempts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Testing:
    """What a command line says of tests: who writes them ("": nobody), the user's files, and their time."""

    __test__ = False  # pytest would take the name for a test class

    writer: str = ""
    files: Sequence[Path] = ()
    seconds: float = 30.0

    @property
    def given(self) -> str:
        """The first flag that was given, "" for none."""
        return "--test-writer" if self.writer else "--tests" if self.files else ""

    @property
    def model(self) -> str:
        """The name of the model that writes tests, "" where none does.

        Raises:
            UsageError: the writer is neither a model nor the agent.
        """
        if self.writer in ("", AGENT):
            return ""
        if not is_model(self.writer):
            raise UsageError(
                f"--test-writer {self.writer[:80]}: name a model, such as openai/gpt-5, or write agent for "
                "the agent that makes the attempts"
            )
        return self.writer

    def role(
        self,
        voices: Voices,
        sandbox: Callable[[], Sandbox],
        *,
        agent: Agent | None = None,
        workspaces: Workspaces | None = None,
        command: TestCommand | None = None,
        prompts: Prompts = Prompts(),
    ) -> Tester:
        """Return the tester; the sandbox is made only now.

        Raises:
            UsageError: a file cannot be read, or the sandbox cannot be had.
        """
        from tts.testers.making import tester

        writer = voices.model("tester", self.model) if self.model else None
        if self.writer == AGENT and (agent is None or workspaces is None):
            raise UsageError("--test-writer agent needs an agent that works in a repository: name a model")
        return tester(
            tests=self.files,
            writer=agent if self.writer == AGENT else writer,
            command=command or "",
            sandbox=sandbox(),
            workspaces=workspaces,
            seconds=self.seconds,
            prompts=prompts,
        )


def wants_tester(strategies: Sequence[str]) -> bool:
    """Return whether a strategy selects by tests; one that cannot be read wants nothing yet."""
    chosen = [text for text in strategies if estimator(text) is None]
    try:
        return any("tester" in needs(strategy_of(text).run) for text in chosen)
    except UsageError:
        return False
