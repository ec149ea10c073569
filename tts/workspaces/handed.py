"""What an attempt hands in."""

from __future__ import annotations

from dataclasses import replace

from tts.errors import LimitReached
from tts.protocols import Workspace
from tts.types import Rollout


async def handed_in(rollout: Rollout, workspace: Workspace) -> Rollout:
    """Return the rollout with its patch: its own where it applies to the base, else the difference.

    One whose difference is too large has reached a limit and hands nothing in.
    """
    try:
        if rollout.patch and rollout.patch.strip() and await workspace.applies(rollout.patch):
            return rollout
        return replace(rollout, patch=await workspace.diff())
    except LimitReached as error:
        return replace(rollout, status="limit", patch=None, error=str(error))
