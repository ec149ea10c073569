"""Sandboxes as a command line asks for them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tts.cli.console import say
from tts.errors import UsageError
from tts.models.secrets import looks_secret, remembered
from tts.sandboxes.box import CAPS, Caps, Sandbox


def handed_in(names: Sequence[str]) -> dict[str, str]:
    """Return the variables of this environment that a sandbox is to have.

    Raises:
        UsageError: one is not set.
    """
    if unset := [name for name in names if name not in os.environ]:
        raise UsageError(f"--pass-env {unset[0]}: this variable is not set")
    given = {name: os.environ[name] for name in names}
    for value in filter(looks_secret, given.values()):
        remembered(value)
    return given


def sandbox_of(
    name: str, mounts: Sequence[str] = (), variables: Sequence[str] = (), *, caps: Caps = CAPS
) -> Sandbox:
    """Return a sandbox by name, and say what it cannot limit here.

    Raises:
        UsageError: it cannot be had, a mount cannot be read, or a variable is not set.
    """
    from tts.sandboxes.named import mount_of, sandbox

    found = sandbox(name, caps=caps, mounts=[mount_of(text) for text in mounts], env=[*handed_in(variables)])
    for problem in found.problems():
        say(f"note: {problem}")
    return found
