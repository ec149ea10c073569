"""mini-swe-agent's own settings, merged as it merges them, with ours on top."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from tts.agents.mini.loading import configuration
from tts.errors import UsageError
from tts.models.secrets import remembered
from tts.types import digest

Place: TypeAlias = Literal["bubblewrap", "docker", "local"]
PLACES: tuple[Place, ...] = ("bubblewrap", "docker", "local")

MODELS = ("litellm", "litellm_textbased")
CACHED = ("anthropic", "sonnet", "opus", "claude")
"""Words in the names of models whose prompt cache mini-swe-agent marks."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The sections of a configuration, with `model_class` taken out of the model's."""

    agent: Mapping[str, Any]
    model: Mapping[str, Any]
    environment: Mapping[str, Any]
    model_class: str = "litellm"

    @property
    def digest(self) -> str:
        """A short hash of all of it."""
        return digest([dict(self.agent), dict(self.model), dict(self.environment), self.model_class])[:12]

    @property
    def cwd(self) -> str:
        """The working directory that the texts speak of."""
        return str(self.environment.get("cwd") or "")

    @property
    def max_output_tokens(self) -> int:
        """The cap on one answer; where none is set, a guess."""
        kwargs = self.model.get("model_kwargs", {})
        cap = kwargs.get("max_completion_tokens") or kwargs.get("max_tokens")
        return cap if isinstance(cap, int) and cap > 0 else 16_384

    @property
    def cost_limit(self) -> float:
        """Dollars after which no further request is made; 0: no limit."""
        return float(self.agent.get("cost_limit", 3.0))


SECRET = re.compile("auth|key|token|cookie|secret", re.IGNORECASE)


def settings(
    specs: Sequence[str], *, model: str, agent: Mapping[str, Any], model_kwargs: Mapping[str, Any]
) -> Settings:
    """Return the settings of some `-c` specs: names or paths of YAML files, or `section.key=value`.

    Without a file among them mini-swe-agent's own `swebench.yaml` comes first. `agent` and `model_kwargs` go
    before what the specs say, where they are not None.

    Raises:
        UsageError: a spec cannot be read, or asks for what there is not here.
    """
    mini = configuration()
    files = [spec for spec in specs if "=" not in spec]
    read = [_read(spec) for spec in ([] if files else [mini.default])] + [_read(spec) for spec in specs]
    merged: dict[str, Any] = mini.merge(*read)
    for section in ("agent", "model", "environment"):
        if not isinstance(merged.setdefault(section, {}), dict):
            raise UsageError(f"the section {section!r} of mini-swe-agent's configuration is no mapping")
    own = {"agent": _given(agent), "model": {"model_name": model, "model_kwargs": _given(model_kwargs)}}
    merged = mini.merge(merged, own)
    _refuse(merged)
    return _settings(merged, model)


def _settings(merged: dict[str, Any], model: str) -> Settings:
    asked, place = merged["model"], merged["environment"]
    kind = str(asked.pop("model_class", "") or "litellm")
    if kind not in MODELS:
        raise UsageError(f"the model class is {' or '.join(MODELS)}, not {kind!r}")
    if any(word in model.lower() for word in CACHED):
        asked.setdefault("set_cache_control", "default_end")
    asked["cost_tracking"] = "ignore_errors"
    _remember(asked.get("model_kwargs", {}))
    place.pop("environment_class", None)
    merged["agent"].pop("agent_class", None)
    return Settings(merged["agent"], asked, place, kind)


def _read(spec: str) -> dict[str, Any]:
    try:
        found: object = configuration().spec(spec)
    except (OSError, ValueError) as error:
        raise UsageError(f"-c {spec}: {error}") from None
    except Exception as error:  # noqa: BLE001 - the YAML reader's errors, whose package is not ours
        raise UsageError(f"-c {spec} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise UsageError(f"-c {spec} holds no mapping of sections")
    return cast("dict[str, Any]", found)


def _refuse(merged: Mapping[str, Any]) -> None:
    """Refuse what would be passed over in silence."""
    if "api_key" in merged["model"].get("model_kwargs", {}):
        raise UsageError("a key comes from the environment, not from model.model_kwargs.api_key")
    extra: Mapping[str, Any] = merged.get("run") or {}
    if extra.get("env_startup_command"):
        raise UsageError("run.env_startup_command is not carried out here; prepare the image or the clone")


def _remember(model_kwargs: Mapping[str, Any]) -> None:
    """Keep out of texts what is secret in the headers of requests."""
    for section in ("headers", "extra_headers"):
        headers: Mapping[str, Any] = model_kwargs.get(section) or {}
        for name, value in headers.items():
            if SECRET.search(name):
                remembered(str(value).removeprefix("Bearer "))


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
