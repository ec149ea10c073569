"""Runs a program on the attempt's working directory, in a sandbox, and takes what it leaves there."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from tts.agents.command.listener import Listener
from tts.agents.command.template import Template
from tts.errors import Infra, LimitReached, UsageError
from tts.hostile import cut, fitting, line
from tts.models.secrets import looks_secret, remembered, scrubbed
from tts.models.tokens import BYTES_PER_TOKEN
from tts.prompts import Prompts, fenced
from tts.prompts.fence import plain
from tts.protocols import Attempt
from tts.sandboxes.box import Box, Mount, Order, Ran, Sandbox
from tts.types import Budget, Rollout, Status, Summary, Task, digest
from tts.workspaces.roots import scratch_folder

SECONDS = 1800.0
"""How long a program may run by default."""

GRACE_SECONDS = 60.0
"""What an attempt may take beside its program: opening the sandbox, ending the program, closing."""

ERROR_CHARS = 1_000
CHECK_SECONDS = 60.0

_SECRET_NAME = r"KEY|TOKEN|SECRET|PASSW|AUTH|CREDENTIAL"
_SECRET = re.compile(_SECRET_NAME, re.IGNORECASE)
_OF_THE_MACHINE = re.compile(rf"{_SECRET_NAME}|PATH$|HOME$|PROXY$|URL$|HOST$", re.IGNORECASE)

LIMITS: Mapping[str, str] = {
    "timeout": "the program was stopped after {seconds:g} seconds",
    "memory": "the program was stopped: it used more memory than the sandbox allows",
    "processes": "the program was stopped: it started more processes than the sandbox allows",
    "size": "the program was stopped: it wrote more than the sandbox allows",
}


@dataclass(frozen=True, slots=True)
class Desk:
    """The files that the program can read beside its workspace, under the same path in and out of the box."""

    folder: Path

    @property
    def prompt(self) -> str:
        """The path of the prompt."""
        return str(self.folder / "prompt.md")

    @property
    def priors(self) -> str:
        """The path of the summaries of earlier attempts, as JSON."""
        return str(self.folder / "priors.json")


@dataclass(frozen=True, kw_only=True)
class CommandAgent:
    """Any program that edits a working directory, such as `mytool {prompt_file}`.

    `command` is split as a shell would, before anything is filled in; no shell runs it. Placeholders:
    `{prompt}` (one argument), `{prompt_file}`, `{workspace}`, `{index}`, `{seed}`. With neither of the first
    two the prompt goes to standard input. `network`: whether the program may reach the network, which one
    that asks a model has to. `seconds` limits one run. `version` names what the command does not show, such
    as the program's release and model: a new one makes new attempts. `env` holds more variables for the
    program. `max_prior_tokens` is about the most that is shown of one earlier attempt.

    The variables TTS_TASK_ID, TTS_INDEX, TTS_SEED, TTS_WORKSPACE, TTS_PROMPT_FILE and TTS_PRIORS (a file of
    JSON: a list of `key`, `text` and `fields` of each summary) are set. Lines of standard output become
    steps, and lines of JSON in a known format usage too; both are the program's own word.
    """

    command: str
    sandbox: Sandbox
    network: bool = True
    seconds: float = SECONDS
    version: str = ""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    prompts: Prompts = Prompts()
    max_prior_tokens: int = 8_000

    def __post_init__(self) -> None:
        Template(self.command)
        if not 0 < self.seconds < float("inf"):
            raise UsageError(f"a command agent's seconds are more than zero, not {self.seconds:g}")
        wrong = next((name for name in self.env if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)), None)
        if wrong is not None or any("\0" in value for value in self.env.values()):
            raise UsageError(
                f"a variable is NAME=VALUE with letters, digits and _ in its name, not {wrong!r}"
            )
        for value in self._secrets():
            remembered(value)

    @property
    def bound(self) -> Budget:
        """The seconds of one attempt; what it spends otherwise nobody knows before."""
        return Budget(seconds=self.seconds + GRACE_SECONDS)

    @property
    def fingerprint(self) -> str:
        """The command, its version, the prompt, the sandbox, the limits and the variables.

        Keys, paths and addresses are named there without their values, so a run can move to another machine.
        """
        env = {name: "" if _OF_THE_MACHINE.search(name) else value for name, value in self.env.items()}
        parts = [self.command, env, self.network, self.seconds, self.max_prior_tokens]
        shown = [Path(self._template.program).name, self.version, self.prompts.digest("command")]
        return "/".join(["command/1", *shown, digest(parts)[:12], self.sandbox.fingerprint])

    async def ready(self) -> None:
        """Check that the sandbox can be had and that the program is found in it.

        Raises:
            UsageError: one of these is not so, or the user's prompt leaves out the task.
        """
        if "the-task-9137" not in self._prompt(Task("", "the-task-9137"), [Summary(claims=("a claim",))]):
            raise UsageError("the prompt 'command' leaves out the task: its block needs {{ prompt }}")
        await to_thread.run_sync(self.sandbox.problems)
        program = self._template.program
        if "{" in program or ("/" in program and not program.startswith("/")):
            return  # It lies in the workspace, which is not here yet.
        with scratch_folder("check") as folder:
            (empty := folder / "workspace").mkdir()
            async with self.sandbox.open(empty) as box:
                look = ("sh", "-c", 'command -v "$1"', "sh", program)
                ran = await box.run(Order(look, env=self.env, seconds=CHECK_SECONDS))
        if ran.returncode != 0:
            raise UsageError(
                f"the program {program!r} is not visible inside the sandbox; if it is installed, add "
                "`--mount DIR` with the folder that holds it, or `--sandbox none`"
            )

    async def run(self, task: Task, attempt: Attempt) -> Rollout:
        """Return the rollout of one run of the program; what it left in the workspace is read elsewhere."""
        prompt = self._prompt(task, attempt.priors)
        with _workspace(attempt) as workspace, _desk(workspace, prompt, attempt.priors) as desk:
            async with self.sandbox.open(workspace, mounts=[Mount(desk.folder)]) as box:
                order = self._order(task, attempt, box, (prompt, desk))
                return await self._heard(box, order, attempt)

    async def _heard(self, box: Box, order: Order, attempt: Attempt) -> Rollout:
        scope, ran = anyio.CancelScope(), None
        listener = Listener(attempt, scope.cancel)
        with scope:
            try:
                ran = await box.run(replace(order, heard=listener))
            except Infra:
                listener.started = False
                raise
            finally:
                listener.leave()
        if ran is None or listener.error is not None:
            raise listener.error or LimitReached("the attempt has passed one of its limits")
        return self._rollout(ran, listener)

    def _rollout(self, ran: Ran, listener: Listener) -> Rollout:
        if not listener.n_steps and ran.errors.strip():
            listener.note(ran.errors)
        status, error = self._ending(ran)
        return Rollout(answer=listener.said_last(), status=status, error=error, thought=status == "finished")

    def _ending(self, ran: Ran) -> tuple[Status, str]:
        told = cut(scrubbed(ran.errors)[-4 * ERROR_CHARS :], ERROR_CHARS)
        if ran.ended != "exited":
            return "limit", LIMITS[ran.ended].format(seconds=self.seconds)
        if ran.returncode == 0:
            return "finished", ""
        if ran.returncode < 0:
            return "failed", f"the program was killed by signal {-ran.returncode}: {told}".rstrip(": ")
        hint = (
            " (was it found, with what it needs, inside the sandbox?)" if ran.returncode in (126, 127) else ""
        )
        return "failed", f"the program ended with exit status {ran.returncode}{hint}: {told}".rstrip(": ")

    def _order(self, task: Task, attempt: Attempt, box: Box, given: tuple[str, Desk]) -> Order:
        prompt, desk = given
        values = {
            "prompt": prompt,
            "prompt_file": desk.prompt,
            "workspace": box.cwd,
            "index": str(attempt.index),
            "seed": str(attempt.seed),
        }
        variables = {
            "TTS_TASK_ID": line(task.id, 1000),
            "TTS_INDEX": values["index"],
            "TTS_SEED": values["seed"],
            "TTS_WORKSPACE": box.cwd,
            "TTS_PROMPT_FILE": desk.prompt,
            "TTS_PRIORS": desk.priors,
        }
        return Order(
            self._template.filled(values),
            env={**self.env, **variables},
            stdin=_bytes(prompt) if self._template.reads_stdin else b"",
            seconds=self.seconds,
            network=self.network,
            apart=True,
        )

    def _prompt(self, task: Task, priors: Sequence[Summary]) -> str:
        shown = [
            fenced(fitting(plain(p.render()), self.max_prior_tokens * BYTES_PER_TOKEN)[0]) for p in priors
        ]
        distilled = any(prior.sources for prior in priors)
        return self.prompts.part("command", "prompt", prompt=task.prompt, priors=shown, workspace=distilled)

    @property
    def _template(self) -> Template:
        return Template(self.command)

    def _secrets(self) -> list[str]:
        return [value for name, value in self.env.items() if _SECRET.search(name) or looks_secret(value)]


@contextmanager
def _workspace(attempt: Attempt) -> Generator[Path]:
    """Yield the attempt's workspace, or an empty folder where it has none."""
    if attempt.workspace is not None:
        yield attempt.workspace
        return
    with scratch_folder("empty") as folder:
        (empty := folder / "workspace").mkdir()
        yield empty


@contextmanager
def _desk(workspace: Path, prompt: str, priors: Sequence[Summary]) -> Generator[Desk]:
    """Yield the program's reading, which lies beside the workspace and so in no patch."""
    place = workspace.resolve().parent
    with tempfile.TemporaryDirectory(prefix="desk-", dir=place, ignore_cleanup_errors=True) as folder:
        desk = Desk(Path(folder))
        Path(desk.prompt).write_bytes(_bytes(prompt))
        Path(desk.priors).write_text(json.dumps([_told(prior) for prior in priors], indent=1))
        yield desk


def command_agent(
    *,
    command: str,
    sandbox: Sandbox,
    network: bool = True,
    seconds: float | None = None,
    version: str = "",
    env: Mapping[str, str] | None = None,
    prompts: Prompts | None = None,
) -> CommandAgent:
    """Return a command agent; None stands for the default.

    Raises:
        UsageError: the command cannot be read, or a value is out of range.
    """
    return CommandAgent(
        command=command,
        sandbox=sandbox,
        network=network,
        seconds=SECONDS if seconds is None else seconds,
        version=version,
        env=dict(env or {}),
        prompts=prompts or Prompts(),
    )


def _told(prior: Summary) -> dict[str, Any]:
    return {"key": prior.key, "text": plain(prior.render()), "fields": asdict(prior)}


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
