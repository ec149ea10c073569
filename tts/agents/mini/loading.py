"""The one door to mini-swe-agent: imported without its banner, its folder, its `.env` and its network."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportPrivateImportUsage=false

from __future__ import annotations

import logging
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tts.errors import UsageError

MISSING = "mini-swe-agent is not installed: pip install 'tts-scaling[swebench]'"
QUIET: Mapping[str, str] = {
    "MSWEA_SILENT_STARTUP": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_MODE": "PRODUCTION",
}
"""What keeps the packages from printing, from asking the network for prices, and from reading a `.env`."""

OWN = ("MSWEA_", "LITELLM_MODEL_REGISTRY_PATH")
"""Settings of the user's own mini-swe-agent, which it would read as it is imported."""

LOGGERS = ("minisweagent", "agent", "litellm_model", "LiteLLM", "LiteLLM Router", "LiteLLM Proxy")

_lock = threading.RLock()


class Missing(UsageError, ModuleNotFoundError):
    """The package is not installed; `name` is the module that was looked for."""


@cache
def configuration() -> SimpleNamespace:
    """Return mini's way to read settings: `version`, `spec`, `merge` and `default`; quick.

    Raises:
        UsageError: the package is not installed.
    """
    with _secluded():
        try:
            import minisweagent
            import minisweagent.config
            import minisweagent.utils.serialize
        except ImportError as error:
            raise Missing(MISSING, name=error.name) from None
    return SimpleNamespace(
        version=str(minisweagent.__version__),
        spec=minisweagent.config.get_config_from_spec,
        merge=minisweagent.utils.serialize.recursive_merge,
        default=str(Path(minisweagent.config.builtin_config_dir) / "benchmarks" / "swebench.yaml"),
    )


@cache
def loaded() -> SimpleNamespace:
    """Return the classes of mini-swe-agent, and litellm; takes seconds the first time.

    Raises:
        UsageError: the package is not installed.
    """
    configuration()
    with _secluded():
        try:
            import litellm
            import minisweagent.agents.default as agents
            import minisweagent.environments.docker as docker
            import minisweagent.environments.local as local
            import minisweagent.exceptions as exceptions
            import minisweagent.models.litellm_model as models
            import minisweagent.models.litellm_textbased_model as textbased
        except ImportError as error:
            raise Missing(f"{MISSING} ({error.name} is missing)", name=error.name) from None
    litellm.suppress_debug_info = True
    return SimpleNamespace(
        litellm=litellm,
        AgentConfig=agents.AgentConfig,
        DefaultAgent=agents.DefaultAgent,
        DockerEnvironment=docker.DockerEnvironment,
        LocalEnvironment=local.LocalEnvironment,
        FormatError=exceptions.FormatError,
        LitellmModel=models.LitellmModel,
        LitellmModelConfig=models.LitellmModelConfig,
        LitellmTextbasedModel=textbased.LitellmTextbasedModel,
        BASH_TOOL=models.BASH_TOOL,
    )


def hush() -> None:
    """Silence what litellm's parts, many of them imported with the first request, make pydantic warn of."""
    warnings.filterwarnings("ignore", message=".*`ReadOnly` qualifier", category=UserWarning)


@contextmanager
def _secluded() -> Generator[None]:
    """Import with settings of its own; the environment and the loggers are afterwards as they were."""
    with _lock, tempfile.TemporaryDirectory(prefix="mini-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fresh = {name for name in ("minisweagent", "litellm") if name not in sys.modules}
        touched = {*QUIET, "MSWEA_GLOBAL_CONFIG_DIR", *(name for name in os.environ if name.startswith(OWN))}
        before = {name: os.environ.pop(name, None) for name in touched}
        os.environ.update(QUIET, MSWEA_GLOBAL_CONFIG_DIR=folder)
        try:
            yield
        finally:
            _restore(before)
            if fresh:
                _quiet()


def _restore(before: Mapping[str, str | None]) -> None:
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def _quiet() -> None:
    """Take the handlers away that the packages gave their loggers; a program may give them others."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers[:] = [logging.NullHandler()]
        logger.propagate = False


def known_price(name: str) -> Mapping[str, Any]:
    """Return what litellm knows of a model: its window and its dollars per token; empty: nothing."""
    try:
        return dict(loaded().litellm.get_model_info(name))
    except Exception:  # noqa: BLE001 - it raises errors of many kinds for a model that it does not know
        return {}
