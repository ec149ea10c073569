"""Who plays which role in `tts solve`, and where their commands run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

from tts.agents.tested import TestCommand, Tested, Watched
from tts.cli.console import say
from tts.cli.models import Voices, names_of
from tts.cli.sandboxed import handed_in, sandbox_of
from tts.cli.testing import AGENT, Testing, wants_tester
from tts.errors import UsageError
from tts.models.providers import is_model
from tts.protocols import Agent, Judge, Summarizer, Tester, Workspaces
from tts.roles import agent_of, bounded, judge_of, summarizer_of
from tts.sandboxes.box import Sandbox
from tts.types import Budget


@dataclass(frozen=True, kw_only=True)
class Players:
    """The roles as the command line names them: "" where it names nobody.

    `seconds` and `bound` limit one attempt. `agent_network` None: on, as a program has a
    model to ask.
    """

    command: str = ""
    agent: str = ""
    model: str = ""
    judge: str = ""
    summarizer: str = ""
    version: str = ""
    seconds: float | None = None
    bound: Budget = Budget()
    tests: str = ""
    test_files: Sequence[str] = ()
    test_seconds: float = 600
    test_network: bool = False
    testing: Testing = field(default_factory=Testing)
    sandbox: str = ""
    mounts: Sequence[str] = ()
    variables: Sequence[str] = ()
    agent_network: bool | None = None
    command_network: bool = False

    def __post_init__(self) -> None:
        given = [f for f, x in (("--agent-cmd", self.command), ("--agent", self.agent)) if x]
        if len(given) == 2 or (self.command and self.model) or (self.agent and self.model):
            raise UsageError("--agent-cmd, --agent and -m exclude each other: give one")
        if not given and not self.model:
            raise UsageError(
                "which agent? give --agent-cmd 'mytool {prompt_file}', --agent NAME, or -m PROVIDER/NAME "
                "for mini-swe-agent"
            )
        if self.version and not self.command:
            raise UsageError("--agent-version is for --agent-cmd: leave it out")
        if not self.tests and (self.test_files or self.test_network):
            raise UsageError("--test-files and --test-network are for --test-cmd: give it too")
        if self.agent_network is not None and not self.command:
            raise UsageError("--agent-network is for --agent-cmd: leave it out")
        if self.command_network and not self.model:
            raise UsageError("--command-network is for mini-swe-agent (-m): leave it out")
        if self.agent:
            self._check_named()

    def _check_named(self) -> None:
        """What an agent of Python cannot follow must not be passed over in silence."""
        given = {
            "--pass-env": bool(self.variables),
            "--sandbox": bool(self.sandbox) and not self.tests,
            "--mount": bool(self.mounts) and not self.tests,
        }
        if unused := [flag for flag, value in given.items() if value]:
            raise UsageError(
                f"{unused[0]} is for --agent-cmd and -m; --agent {self.agent} runs in this process"
            )

    @property
    def names(self) -> dict[str, list[str]]:
        """The models of the roles, those that our own clients reach."""
        found = names_of(
            agent=self.agent,
            judge=self._second(self.judge),
            summarizer=self._second(self.summarizer),
            tester=self.testing.model,
        )
        return found | {"model": [self.model]} if is_model(self.model) else found

    def _second(self, named: str) -> str:
        """Who judges and summarizes unless named: the agent's model, where our clients reach it."""
        return named or (self.model if is_model(self.model) else "")

    def judge_role(self, voices: Voices) -> Judge:
        """Return the judge.

        Raises:
            UsageError: it is not there.
        """
        return judge_of(self._second(self.judge) or "evidence", made=partial(voices.model, "judge"))

    def summarizer_role(self, voices: Voices) -> Summarizer:
        """Return the summarizer.

        Raises:
            UsageError: it is not there.
        """
        name = self._second(self.summarizer) or "extractive"
        return summarizer_of(name, made=partial(voices.model, "summarizer"))

    def tester_role(self, voices: Voices, workspaces: Workspaces, strategy: str) -> Tester | None:
        """Return the tester, where the strategy selects by tests.

        Raises:
            UsageError: it is not there, or is of no use.
        """
        if not wants_tester([strategy]):
            if self.testing.given:
                raise UsageError(
                    f"{self.testing.given}: -s {strategy} does not select by tests, as agentless@8 does"
                )
            return None
        command = self._test_command() if self.tests else None
        agent = bounded(self._agent(voices), self.bound) if self.testing.writer == AGENT else None
        return self.testing.role(
            voices, lambda: self._box, agent=agent, workspaces=workspaces, command=command
        )

    def agent_role(self, voices: Voices, workspaces: Watched) -> Agent:
        """Return the agent, bounded; with the repository's tests after each attempt where there are any.

        Raises:
            UsageError: it is not there, or what it runs in is not.
        """
        found = self._agent(voices)
        if self.tests:
            found = Tested(found, self._test_command(), workspaces)
        return bounded(found, self.bound)

    def _agent(self, voices: Voices) -> Agent:
        if self.command:
            return self._command()
        if self.model:
            return self._mini(voices)
        return bounded(agent_of(self.agent), Budget(seconds=self.seconds))

    def _command(self) -> Agent:
        from tts.agents.command import command_agent

        return command_agent(
            command=self.command,
            sandbox=self._box,
            network=self.agent_network is not False,
            seconds=self.seconds,
            version=self.version,
            env=handed_in(self.variables),
        )

    def _mini(self, voices: Voices) -> Agent:
        from tts.agents.mini import mini_agent

        local = self.sandbox == "none"
        cap = voices.caps.get("model", voices.caps.get(""))
        return mini_agent(
            self.model,
            environment="local" if local else "bubblewrap",
            sandbox=sandbox_of(self.sandbox, self.mounts, self.variables),
            network=self.command_network,
            seconds=self.seconds,
            base_url=voices.urls.get("model", voices.urls.get("", "")),
            price=voices.prices.get(self.model),
            options={} if cap is None else {"max_tokens": cap},
        )

    def _test_command(self) -> TestCommand:
        return TestCommand(
            command=self.tests,
            sandbox=self._box,
            network=self.test_network,
            seconds=self.test_seconds,
            files=tuple(self.test_files),
        )

    @cached_property
    def _box(self) -> Sandbox:
        """The sandbox of the command agent and of the tests; it hands in no variables of its own."""
        return sandbox_of(self.sandbox, self.mounts)


def tell_how(players: Players) -> None:
    """Say what decides where nothing but the attempts' own evidence does."""
    if not players.tests and not players.judge and not players.model:
        say(
            "note: without --test-cmd and without a model as --judge little tells attempts apart: "
            "the evidence judge goes by what is left, the size of the patch"
        )
