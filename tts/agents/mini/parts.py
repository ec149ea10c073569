"""mini-swe-agent's own agent, models and environments, driven from our event loop.

Everything that decides what the model reads and what its answers mean is the package's: only the request, the
command and the file that is written are ours.  This module is imported once somebody runs an attempt.
"""

# pyright: reportUntypedBaseClass=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# mypy: disable-error-code="misc"

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any

from tts.agents.mini.asking import Asking, said
from tts.agents.mini.loading import configuration, loaded
from tts.agents.mini.trajectory import Trajectory
from tts.agents.mini.turns import Shell, Telling, waited
from tts.errors import LimitReached

M = loaded()
DefaultAgent: Any = M.DefaultAgent
LitellmModel: Any = M.LitellmModel
LitellmTextbasedModel: Any = M.LitellmTextbasedModel
LocalEnvironment: Any = M.LocalEnvironment
DockerEnvironment: Any = M.DockerEnvironment
FormatError: type[Exception] = M.FormatError


class Driven(DefaultAgent):
    """The agent: tells of its turns, reads what earlier attempts came to, and writes its trajectory."""

    def __init__(
        self, model: Any, env: Any, *, telling: Telling, priors: str, trajectory: Trajectory, **config: Any
    ) -> None:
        super().__init__(model, env, **config)
        self.telling = telling
        self.priors = priors
        self.trajectory = trajectory

    @property
    def ending(self) -> Mapping[str, Any]:
        """How it ended, as mini-swe-agent says it: `exit_status` and `submission`; empty: not yet."""
        last = self.messages[-1] if self.messages else {}
        ending: Mapping[str, Any] = last.get("extra", {}) if last.get("role") == "exit" else {}
        return ending

    def go(self, prompt: str, why: Callable[[], str]) -> None:
        """Run to the end, and write the trajectory; `why` says the exit status of a run that was cut."""
        try:
            self.run(prompt)
        finally:
            self._close(why)

    def step(self) -> list[dict[str, Any]]:
        """Make a turn and tell of it, however it ends."""
        self.telling.begin()
        try:
            told: list[dict[str, Any]] = super().step()
        except FormatError as error:
            self.telling.observed(_first(error)["content"])
            self.telling.end()
            raise
        except BaseException:
            with suppress(LimitReached):  # it ends here anyway
                self.telling.end()
            raise
        self.telling.end()
        return told

    def handle_uncaught_exception(self, e: Exception) -> list[dict[str, Any]]:
        """A cancelled attempt ends otherwise, see `go`."""
        if isinstance(e, CancelledError):
            return []
        told: list[dict[str, Any]] = super().handle_uncaught_exception(e)
        return told

    def _close(self, why: Callable[[], str]) -> None:
        """Write the trajectory for the last time, with an end where it has none."""
        if not self.ending:
            status = why()
            extra = {"exit_status": status, "submission": ""}
            self.add_messages(self.model.format_message(role="exit", content=status, extra=extra))
        self.save(None)

    def save(self, path: Any, *extra_dicts: dict[str, Any]) -> dict[str, Any]:
        """Write the trajectory to its own place; mini-swe-agent calls this after every turn."""
        data: dict[str, Any] = super().save(None, *extra_dicts, self.trajectory.note)
        self.trajectory.write(data)
        return data

    def _render_template(self, template: str) -> str:
        text: str = super()._render_template(template)
        first = template == self.config.instance_template
        return f"{text}\n\n{self.priors}" if first and self.priors else text


def _first(error: Any) -> dict[str, Any]:
    """The message that a format error holds for the model."""
    message: dict[str, Any] = error.messages[0]
    return message


class _Asked:
    """A model of the package's whose requests go out on our way."""

    asking: Asking
    telling: Telling
    tools: Mapping[str, Any] = {}
    config: Any
    _prepare_messages_for_api: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
    _parse_actions: Callable[[Any], list[dict[str, Any]]]

    def query(self, messages: list[dict[str, Any]], **kwargs: Any) -> dict[str, Any]:
        """Return the model's message with the commands that it wants run."""
        response, cost = self._response(self._prepare_messages_for_api(messages), kwargs)
        more = {"response": response.model_dump(mode="json"), "cost": cost, "timestamp": time.time()}
        message = response.choices[0].message
        self.telling.answered(*said(message))
        try:
            actions = self._parse_actions(response)
        except FormatError as error:
            _first(error)["extra"].update(more)
            raise
        shown: dict[str, Any] = message.model_dump(mode="json")
        return {**shown, "extra": {"actions": actions, **more}}

    def _response(self, messages: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, float]:
        """Return litellm's response and its dollars, 0 where nobody knows the price."""
        options = {**self.tools, **self.config.model_kwargs, **kwargs}

        async def ask() -> Any:
            return await self.asking.ask(messages, **options)

        try:
            response = waited(ask)
        finally:
            usage = self.asking.taken()
            self.telling.paid(usage)
        return response, usage.known_usd


class ToolModel(_Asked, LitellmModel):
    """Asks for commands as calls of the tool `bash`."""

    tools: Mapping[str, Any] = {"tools": [M.BASH_TOOL]}

    def __init__(self, asking: Asking, telling: Telling, **config: Any) -> None:
        super().__init__(**config)
        self.asking, self.telling = asking, telling


class TextModel(_Asked, LitellmTextbasedModel):
    """Asks for commands as fenced text."""

    def __init__(self, asking: Asking, telling: Telling, **config: Any) -> None:
        super().__init__(**config)
        self.asking, self.telling = asking, telling


MODELS: Mapping[str, Any] = {"litellm": ToolModel, "litellm_textbased": TextModel}


class _Shelled:
    """What mini's environments have in common here: each command goes to a shell of ours."""

    config: Any
    _check_finished: Any

    def __init__(self, shell: Shell, **config: Any) -> None:
        super().__init__(**config)
        self.shell = shell

    def execute(self, action: dict[str, Any], cwd: str = "", *, timeout: int | None = None) -> dict[str, Any]:
        """Return the command's output; a submission ends the agent."""
        output = self.shell.run(str(action.get("command", "")), float(timeout or self.config.timeout))
        self._check_finished(output)
        return output


class InBox(_Shelled, LocalEnvironment):
    """Runs each command in a sandbox around the workspace."""

    def get_template_vars(self, **kwargs: Any) -> dict[str, Any]:
        """Return what templates may speak of: the settings and the machine's kind, not its environment."""
        found: dict[str, Any] = configuration().merge(
            self.config.model_dump(), platform.uname()._asdict(), kwargs
        )
        return found


class InDocker(_Shelled, DockerEnvironment):
    """Runs each command in a container that is started and removed outside."""

    def _start_container(self) -> None:
        """It runs already."""

    def cleanup(self) -> None:
        """Whoever started it removes it."""
