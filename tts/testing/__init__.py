"""Scripted performers and contracts: for authors of plug-ins, and for our own tests."""

from __future__ import annotations

from tts.testing.contracts import AgentContract, JudgeContract, StageContract
from tts.testing.scripted import (
    TASK,
    FailingJudge,
    Script,
    ScriptedAgent,
    ScriptedJudge,
    ScriptedSummarizer,
    ScriptedTester,
    numbered,
    opened,
    run_stage,
    stored,
    strategy_run,
)

__all__ = [
    "TASK",
    "AgentContract",
    "FailingJudge",
    "JudgeContract",
    "Script",
    "ScriptedAgent",
    "ScriptedJudge",
    "ScriptedSummarizer",
    "ScriptedTester",
    "StageContract",
    "numbered",
    "opened",
    "run_stage",
    "stored",
    "strategy_run",
]
