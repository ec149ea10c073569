"""An agent that is the real mini-swe-agent: its loop, prompts and files; our clones, sandboxes and bills."""

from __future__ import annotations

import math
import shutil
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread
from anyio.lowlevel import checkpoint

from tts.agents.mini.asking import Asking, Source, window_tokens
from tts.agents.mini.loading import configuration, loaded
from tts.agents.mini.places import Ground, docker, in_docker, in_sandbox
from tts.agents.mini.settings import Place, Settings
from tts.agents.mini.trajectory import trajectory
from tts.agents.mini.turns import Shell, Telling
from tts.errors import Infra, UsageError
from tts.hostile import fitting, line
from tts.models.connections import connected
from tts.models.names import model as model_of
from tts.models.prices import dollars
from tts.models.providers import is_model
from tts.models.tokens import BYTES_PER_TOKEN
from tts.prompts import Prompts, fenced
from tts.prompts.fence import plain
from tts.protocols import Attempt
from tts.sandboxes.box import Sandbox
from tts.types import Budget, Rollout, Status, Summary, Task, Usage, digest

if TYPE_CHECKING:
    from tts.agents.mini.parts import Driven

ENDINGS: Mapping[str, Status] = {
    "Submitted": "finished",
    "LimitsExceeded": "limit",
    "TimeExceeded": "limit",
}
"""What mini-swe-agent's exit statuses come to; every other is a failure."""

LEFTOVER = "patch.txt"
"""The file that mini-swe-agent's prompt has its model make at the top of the repository."""


@dataclass(frozen=True, kw_only=True)
class MiniAgent:
    """Attempts a task with mini-swe-agent.

    `source` is the model, `settings` are mini-swe-agent's own, `place` is where commands run: in `sandbox`,
    or in a container whose engine is called from `sandbox`. `network` is for the commands. `seconds` is the
    longest an attempt may take. `trajectories` is the folder for its `.traj.json` files, None: none.
    `priced` wants the price of the model known, since a limit on cost was asked for.
    """

    source: Source
    settings: Settings
    place: Place
    sandbox: Sandbox
    network: bool = False
    seconds: float | None = None
    trajectories: Path | None = None
    prompts: Prompts = Prompts()
    priced: bool = False
    max_prior_tokens: int = 8_000

    @property
    def fingerprint(self) -> str:
        """mini-swe-agent's version, the model, all settings, the sandbox and the prompt for priors."""
        said = [self.settings.digest, self.place, self.sandbox.fingerprint, self.network, self.seconds]
        prompt = f"{self.prompts.digest('mini')}/{self.max_prior_tokens}"
        return f"mini/1/{configuration().version}/{self.source.name}#{digest(said)[:12]}/{prompt}"

    def bound_for(self, task: Task, inputs: Sequence[Summary]) -> Budget:
        """Return the most that an attempt can cost, as far as its limits tell.

        Dollars: the cost limit and one more call with a full window, where price and window are known.
        """
        seconds = None if self.time_limit is None else self.time_limit + 60.0
        return Budget(usd=self._most_usd(), seconds=seconds)

    @property
    def time_limit(self) -> float | None:
        """The seconds an attempt may take, None: as long as it likes."""
        own = self.settings.agent.get("wall_time_limit_seconds") or None
        return self.seconds if self.seconds is not None else own

    async def ready(self) -> None:
        """Check the package, the place, the prompt, the price and, where it can tell, the model.

        Raises:
            UsageError, Unusable: one of these is not so.
        """
        await to_thread.run_sync(self._check)
        if is_model(self.source.name):
            await model_of(self.source.name, base_url=self.source.base_url).ready()

    async def run(self, task: Task, attempt: Attempt) -> Rollout:
        """Return the rollout of one run of mini-swe-agent; its patch is what was submitted."""
        parts = await to_thread.run_sync(_parts)
        telling = Telling(attempt)
        async with connected() as connections, self._ground(task, attempt) as ground:
            shell = Shell(ground.box, telling, ground.order)
            model = parts.MODELS[self.settings.model_class](
                Asking(self.source, connections), telling, **self.settings.model
            )
            driven = parts.Driven(
                model,
                self._environment(parts, shell, task, ground),
                telling=telling,
                priors=self._priors(attempt.priors),
                trajectory=trajectory(self.trajectories, task.id, attempt.index, attempt.seed),
                **self._agent_settings(ground.cwd),
            )
            await self._drive(driven, task)
        return _rollout(driven, telling)

    async def _drive(self, driven: Driven, task: Task) -> None:
        """Run it in a thread whose every wait is on this event loop, so that it ends once it is told."""
        with anyio.move_on_after(self.time_limit) as time:
            why = partial(_cut, time)
            try:
                await to_thread.run_sync(driven.go, task.prompt, why, limiter=anyio.CapacityLimiter(1))
            except CancelledError:
                await checkpoint()
                raise Infra("mini-swe-agent's thread was cancelled and nobody asked for it") from None

    @asynccontextmanager
    async def _ground(self, task: Task, attempt: Attempt) -> AsyncGenerator[Ground]:
        config = self.settings.environment
        opened: AbstractAsyncContextManager[Ground]
        if self.place == "docker":
            opened = in_docker(self.sandbox, task, config, network=self.network)
        else:
            opened = in_sandbox(self.sandbox, attempt, config, network=self.network)
        leftover = attempt.workspace / LEFTOVER if attempt.workspace is not None else None
        made_here = leftover is not None and not _is_there(leftover)
        try:
            async with opened as ground:
                yield ground
        finally:
            if made_here and leftover is not None:
                _remove(leftover)

    def _environment(self, parts: Any, shell: Shell, task: Task, ground: Ground) -> Any:
        config = {**self.settings.environment, "cwd": ground.cwd}
        if self.place != "docker":
            return parts.InBox(shell, **config)
        from tts.agents.mini.places import image_of

        return parts.InDocker(shell, **{**config, "image": image_of(task), "executable": docker(config)})

    def _agent_settings(self, cwd: str) -> dict[str, Any]:
        """mini's settings of the agent; its texts speak of the directory that it works in."""
        config = {key: value for key, value in self.settings.agent.items() if key != "output_path"}
        if self.seconds is not None:
            config["wall_time_limit_seconds"] = math.ceil(self.seconds)
        for name in ("system_template", "instance_template"):
            if self.settings.cwd and isinstance(config.get(name), str):
                config[name] = config[name].replace(self.settings.cwd, cwd)
        return config

    def _priors(self, priors: Sequence[Summary]) -> str:
        if not priors:
            return ""
        size = self.max_prior_tokens * BYTES_PER_TOKEN
        shown = [fenced(fitting(plain(prior.render()), size)[0]) for prior in priors]
        workspace = any(prior.sources for prior in priors)
        return self.prompts.part("mini", "priors", priors=shown, workspace=workspace)

    def _check(self) -> None:
        mini, name = loaded(), self.source.name
        try:
            mini.AgentConfig(**self._agent_settings(self.settings.cwd))
            mini.LitellmModelConfig(**self.settings.model)
        except ValueError as error:
            raise UsageError(f"mini-swe-agent's configuration: {line(str(error), 300)}") from None
        if "a-claim-9137" not in self._priors([Summary(claims=("a-claim-9137",))]):
            raise UsageError("the prompt 'mini' leaves out the priors: its block `priors` needs {{ prior }}")
        if self.priced and dollars(Usage(calls=1), name, self.source.priced()) is None:
            raise UsageError(f"a cost limit needs a price, and nobody publishes one of {name}: give it")
        if self.place == "docker" and shutil.which(docker(self.settings.environment)) is None:
            engine = docker(self.settings.environment)
            raise UsageError(f"there is no {engine}: install it, or use the environment bubblewrap")
        self.sandbox.problems()
        self._check_key(mini)

    def _check_key(self, mini: Any) -> None:
        name = self.source.name
        if is_model(name):
            return
        try:
            mini.litellm.get_llm_provider(name, api_base=self.source.base_url or None)
            found: Mapping[str, Any] = mini.litellm.validate_environment(name)
        except Exception as error:  # noqa: BLE001 - litellm's own errors
            raise UsageError(
                f"litellm knows no model {self.source.name!r}: {line(str(error), 200)}"
            ) from None
        if found["missing_keys"] and not found["keys_in_environment"] and not self.source.base_url:
            raise UsageError(
                f"{self.source.name} needs {' or '.join(found['missing_keys'])} in the environment"
            )

    def _most_usd(self) -> float | None:
        name, window = self.source.name, window_tokens(self.source.name)
        if not self.settings.cost_limit or window is None:
            return None
        call = Usage(calls=1, input_tokens=window, output_tokens=self.source.max_output_tokens)
        cost = dollars(call, name, self.source.price)
        return None if cost is None else self.settings.cost_limit + sum(cost)


def _cut(time: anyio.CancelScope) -> str:
    """mini-swe-agent's word for an attempt that was cut short by the clock or from outside."""
    return "TimeExceeded" if time.cancel_called else "Cancelled"


def _parts() -> Any:
    import tts.agents.mini.parts as parts

    return parts


def _rollout(driven: Driven, telling: Telling) -> Rollout:
    ending, length = driven.ending, float(telling.n_steps)
    name = str(ending.get("exit_status", ""))
    status = ENDINGS.get(name, "failed")
    if status != "finished":
        error = f"mini-swe-agent ended with {line(name, 100)}"
        return Rollout(status=status, length=length, error=error)
    patch = str(ending.get("submission", ""))
    return Rollout(patch=patch if patch.strip() and not telling.lost_bytes else None, length=length)


def _is_there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _remove(path: Path) -> None:
    """Remove a file or link; a folder of that name stays."""
    if path.is_symlink() or path.is_file():
        path.unlink()
