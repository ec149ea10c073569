"""Who plays which role in a run on SWE-bench, and where the agent's commands run."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from tts.cli.models import Voices, names_of
from tts.cli.sandboxed import handed_in, sandbox_of
from tts.errors import UsageError
from tts.models.providers import is_model
from tts.prompts import Prompts
from tts.protocols import Agent, Judge, Summarizer, Workspaces
from tts.roles import agent_of, bounded, judge_of, summarizer_of
from tts.types import Budget

MINI = "mini-swe-agent"
POOL = "pool:"
UNSAFE = (
    "the agent's commands run on this machine without a sandbox: they can read and change all that you can"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Players:
    """The roles as the command line names them: "" where it names nobody.

    `bound` is the most that one attempt can take. `environment` and `sandbox` say where commands run.
    """

    model: str = ""
    agent: str = ""
    command: str = ""
    version: str = ""
    judge: str = ""
    summarizer: str = ""
    configs: Sequence[str] = ()
    environment: str = ""
    sandbox: str = ""
    mounts: Sequence[str] = ()
    variables: Sequence[str] = ()
    agent_network: bool | None = None
    command_network: bool = False
    step_limit: int | None = None
    cost_limit: float | None = None
    bound: Budget = Budget()
    prompts: Path | None = None

    @property
    def kind(self) -> str:
        """Which agent attempts the tasks: `mini-swe-agent`, `command`, `pool` or `named`.

        Raises:
            UsageError: two are asked for, or what the one needs is missing.
        """
        if self.command and self.agent:
            raise UsageError("--agent and --agent-cmd exclude each other: give one")
        if self.command:
            return "command"
        if self.version or self.agent_network is not None:
            flag = "--agent-version" if self.version else "--agent-network"
            raise UsageError(f"{flag} is for --agent-cmd: leave it out")
        if self.agent.startswith(POOL):
            return "pool"
        if is_model(self.agent):
            raise UsageError(
                f"--agent {self.agent} is a model: name it with -m, and mini-swe-agent drives it"
            )
        if self.agent not in ("", MINI):
            return "named"
        if not self.model:
            raise UsageError(
                "which model? give -m PROVIDER/NAME for mini-swe-agent, such as openai/gpt-5, or another "
                "agent with --agent or --agent-cmd"
            )
        return MINI

    @property
    def pool(self) -> Path:
        """The folder of `pool:DIR`."""
        return Path(self.agent.removeprefix(POOL))

    @property
    def label(self) -> str:
        """What predictions call who made them: the model, else the agent."""
        if self.kind == "command":
            return Path(shlex.split(self.command)[0]).name if self.command.split() else "command"
        if self.kind == "pool":
            return f"{POOL}{self.pool.name}"
        return self.model if self.kind == MINI else self.agent

    @property
    def names(self) -> dict[str, list[str]]:
        """The models of the roles, those that our own clients reach."""
        agent = self.model if self.kind == MINI else self.agent
        return names_of(
            agent=agent, judge=self._played(self.judge, ""), summarizer=self._played(self.summarizer, "")
        )

    def _played(self, name: str, otherwise: str) -> str:
        return name or self.model or otherwise

    def judge_role(self, voices: Voices, *, needed: bool) -> Judge | None:
        """Return the judge: the one named, else the model, else the evidence judge.

        Raises:
            UsageError: it is not there; where it is not needed and nobody was named, None comes back.
        """
        if not self._reachable("--judge", self.judge, "evidence", needed):
            return None
        name = self._played(self.judge, "evidence")
        return judge_of(name, made=partial(voices.model, "judge"), prompts=Prompts(self.prompts))

    def summarizer_role(self, voices: Voices, *, needed: bool) -> Summarizer | None:
        """Return the summarizer: the one named, else the model, else the extractive one; as `judge_role`."""
        if not self._reachable("--summarizer", self.summarizer, "extractive", needed):
            return None
        name = self._played(self.summarizer, "extractive")
        return summarizer_of(name, made=partial(voices.model, "summarizer"), prompts=Prompts(self.prompts))

    def _reachable(self, flag: str, named: str, otherwise: str, needed: bool) -> bool:
        """Whether a role can be played: a model that only mini-swe-agent reaches can be no judge."""
        if named or not self.model or is_model(self.model):
            return True
        if needed:
            raise UsageError(
                f"{self.model} is reached by mini-swe-agent alone: name a {flag} too, such as "
                f"{flag} {otherwise} or the PROVIDER/NAME of a model of openai, anthropic, azure, bedrock or "
                "vertex_ai"
            )
        return False

    def agent_role(self, voices: Voices, place: Path) -> Agent:
        """Return the agent, bounded; `place` is the run's folder.

        Raises:
            UsageError: it is not there, or what it runs in is not.
        """
        made = {MINI: self._mini, "command": self._command, "pool": self._pool, "named": self._named}
        return bounded(made[self.kind](voices, place), self.bound)

    def _mini(self, voices: Voices, place: Path) -> Agent:
        from tts.agents.mini import mini_agent

        where = self._checked_place()
        cap = voices.caps.get("model", voices.caps.get(""))
        return mini_agent(
            self.model,
            config=tuple(self.configs),
            environment=where,
            sandbox=sandbox_of("bwrap", self.mounts, self.variables) if where == "bubblewrap" else None,
            network=self.command_network,
            step_limit=self.step_limit,
            cost_limit=self.cost_limit,
            seconds=self.bound.seconds,
            trajectories=place / "trajs",
            base_url=voices.urls.get("model", voices.urls.get("", "")),
            price=voices.prices.get(self.model),
            limits=voices.limits,
            temperature=voices.temperature,
            options={**voices.options, **({} if cap is None else {"max_tokens": cap})},
            prompts=Prompts(self.prompts),
        )

    def _checked_place(self) -> str:
        """What has no meaning where mini-swe-agent runs must not be passed over in silence."""
        if self.sandbox:
            raise UsageError(
                "--sandbox is for --agent-cmd: where mini-swe-agent runs, --environment-class says"
            )
        where = self.where
        if where != "bubblewrap" and (self.mounts or self.variables):
            flag = "--mount" if self.mounts else "--pass-env"
            raise UsageError(f"{flag} is for bubblewrap, and the commands run in {where}: set it with -c")
        return where

    def _command(self, voices: Voices, place: Path) -> Agent:
        from tts.agents.command import command_agent

        self._check_own("--agent-cmd")
        return command_agent(
            command=self.command,
            sandbox=sandbox_of(self.sandbox or "bwrap", self.mounts),
            network=self.agent_network is not False,
            seconds=self.bound.seconds,
            version=self.version,
            env=handed_in(self.variables),
            prompts=Prompts(self.prompts),
        )

    def _pool(self, voices: Voices, place: Path) -> Agent:
        self._check_own("--agent pool:")
        if not self.pool.is_dir():
            raise UsageError(
                f"--agent {self.agent}: there is no folder {self.pool}; `tts swebench import` makes one"
            )
        from tts.agents.recorded import RecordedAgent

        return RecordedAgent(self.pool)

    def _named(self, voices: Voices, place: Path) -> Agent:
        self._check_own(f"--agent {self.agent}")
        return agent_of(self.agent)

    def _check_own(self, who: str) -> None:
        """What only mini-swe-agent can follow must not be passed over in silence."""
        given = {
            "-c": self.configs,
            "--environment-class": self.environment,
            "--step-limit": self.step_limit is not None,
            "--cost-limit": self.cost_limit is not None,
            "--command-network": self.command_network,
        }
        if unused := [flag for flag, value in given.items() if value]:
            raise UsageError(f"{unused[0]} is for mini-swe-agent, and the agent here is {who}: leave it out")

    @property
    def where(self) -> str:
        """Where mini-swe-agent's commands run: `docker`, `bubblewrap` or `local`.

        Raises:
            UsageError: there is neither an engine nor bubblewrap.
        """
        return self.environment or usual_place()

    def workspaces(self, folder: Path) -> Workspaces | None:
        """Return where attempts get their clones; None where they work in a container's own copy."""
        from tts.workspaces.git import GitWorkspaces

        if self.kind == "pool" or (self.kind == MINI and self.where == "docker"):
            return None
        return GitWorkspaces(folder, depth=1)


@cache
def usual_place() -> str:
    """Return `docker` where an engine answers, else `bubblewrap`.

    Raises:
        UsageError: there is neither.
    """
    from tts.benches.swebench.official import docker_answers

    if docker_answers():
        return "docker"
    if shutil.which("bwrap"):
        return "bubblewrap"
    raise UsageError(
        "no Docker engine answers and bubblewrap is not installed: start or install one, or name "
        "--environment-class local, which is no sandbox"
    )
