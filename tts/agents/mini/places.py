"""Where mini-swe-agent's commands run: in a sandbox around the clone, or in the container of an instance."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from anyio import CancelScope

from tts.errors import Infra, UsageError
from tts.hostile import line
from tts.protocols import Attempt
from tts.sandboxes.box import Box, Order, Sandbox
from tts.types import Task
from tts.workspaces.roots import scratch_folder

INTERPRETER = ("bash", "-c")
IMAGE_RC = ".bashrc"
"""What `swebench.yaml` has bash read in SWE-bench's images; outside them it would be the user's own."""

DOCKER_NAMES = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "XDG_RUNTIME_DIR")
"""What the command line of the container engine needs of the environment."""

REMOVE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Ground:
    """An open place: its box, the directory that the agent works in, and how a command becomes an order."""

    box: Box
    cwd: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    network: bool

    def order(self, command: str) -> Order:
        """Return the order that runs a command."""
        return Order((*self.argv, command), env=self.env, network=self.network)


@asynccontextmanager
async def in_sandbox(
    sandbox: Sandbox, attempt: Attempt, config: Mapping[str, Any], *, network: bool
) -> AsyncGenerator[Ground]:
    """Open the attempt's clone in a sandbox.

    Raises:
        UsageError: the task has no repository to clone.
        Infra: the sandbox could not be started.
    """
    if attempt.workspace is None:
        raise UsageError("mini-swe-agent works on a clone: give the task a repo and a base_commit")
    env = variables(config)
    if env.get("BASH_ENV", "").endswith(f"/{IMAGE_RC}"):
        del env["BASH_ENV"]
    async with sandbox.open(attempt.workspace) as box:
        yield Ground(box, box.cwd, interpreter(config), env, network)


@asynccontextmanager
async def in_docker(
    host: Sandbox, task: Task, config: Mapping[str, Any], *, network: bool
) -> AsyncGenerator[Ground]:
    """Start a container of the instance's image, as mini-swe-agent would, and remove it in the end.

    `host` is where the engine's own command line runs.

    Raises:
        Infra: the container could not be started.
    """
    name, engine = f"minisweagent-{uuid4().hex[:8]}", docker(config)
    own = {key: os.environ[key] for key in DOCKER_NAMES if key in os.environ}
    with scratch_folder("docker") as folder:
        async with host.open(_empty(folder)) as box:
            try:
                seconds = float(config.get("pull_timeout", 120))
                argv = (engine, "run", "-d", "--name", name, *_running(task, config, network=network))
                ran = await box.run(Order(argv, env=own, seconds=seconds, network=True))
                if ran.returncode != 0 or ran.ended != "exited":
                    raise Infra(f"no container of {image_of(task)}: {line(ran.output, 300) or ran.ended}")
                argv = (engine, "exec", *_set(config), name, *interpreter(config))
                yield Ground(box, _cwd(config), argv, own, network=True)
            finally:
                with CancelScope(shield=True):
                    argv = (engine, "rm", "-f", name)
                    await box.run(Order(argv, env=own, seconds=REMOVE_SECONDS, network=True))


def _running(task: Task, config: Mapping[str, Any], *, network: bool) -> tuple[str, ...]:
    """What follows the name of a container that is started."""
    given = tuple(str(part) for part in config.get("run_args", ["--rm"]))
    free = network or any(part.startswith(("--net", "--network")) for part in given)
    closed = () if free else ("--network", "none")
    lasting = str(config.get("container_timeout", "2h"))
    return ("-w", _cwd(config), *given, *closed, image_of(task), "sleep", lasting)


def _set(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Where in the container a command runs, and with which variables."""
    env = variables(config)
    return ("-w", _cwd(config), *(part for key in env for part in ("-e", f"{key}={env[key]}")))


def _cwd(config: Mapping[str, Any]) -> str:
    return str(config.get("cwd") or "/")


def variables(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that a configuration sets for commands."""
    env: Mapping[str, Any] = config.get("env") or {}
    return {name: str(value) for name, value in env.items()}


def docker(config: Mapping[str, Any]) -> str:
    """Return the container engine's program."""
    return str(config.get("executable") or os.environ.get("MSWEA_DOCKER_EXECUTABLE") or "docker")


def interpreter(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what runs a command."""
    return tuple(str(part) for part in config.get("interpreter") or INTERPRETER)


def image_of(task: Task) -> str:
    """Return the image of an instance: the one that its metadata names, or by SWE-bench's rule."""
    for name in ("image", "image_name", "docker_image"):
        if image := task.metadata.get(name):
            return str(image)
    return f"docker.io/swebench/sweb.eval.x86_64.{task.id.replace('__', '_1776_')}:latest".lower()


def _empty(folder: Path) -> Path:
    place = Path(folder) / "empty"
    place.mkdir()
    return place
