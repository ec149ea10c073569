"""The embedded demo: real bugs in small packages, an agent that repairs them by search, and their grader.

Nothing here asks for a key or the network; git is the one prerequisite.  The tests and the repaired code
run in child processes with limits on time and memory, but without a sandbox: the code is the demo's own,
with small edits made by its own agent.  Do not point it at code that you do not trust.
"""

from __future__ import annotations

from tts.demo.agent import RepairAgent
from tts.demo.dataset import Instance, Truth, instances, tasks, truths
from tts.demo.grader import HiddenTests
from tts.demo.harness import Harness, warm_tests
from tts.demo.search import Habits

__all__ = [
    "Habits",
    "Harness",
    "HiddenTests",
    "Instance",
    "RepairAgent",
    "Truth",
    "instances",
    "tasks",
    "truths",
    "warm_tests",
]
