"""Makes the tester: of tests, of who writes them, and of where they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tts.agents.tested import TestCommand
from tts.errors import UsageError
from tts.models.chat import Chat
from tts.models.names import model
from tts.prompts import Prompts
from tts.protocols import Agent, Workspaces
from tts.sandboxes.box import Sandbox
from tts.sandboxes.named import sandbox as named
from tts.suites import SuiteKind
from tts.testers.sandboxed import SandboxTester
from tts.testers.writers import AgentTests, GivenTests, ModelTests, Writer


def tester(
    *,
    tests: Mapping[str, str] | Sequence[str | Path] = (),
    writer: str | Chat | Agent | None = None,
    command: str | TestCommand = "",
    sandbox: str | Sandbox = "",
    workspaces: Workspaces | None = None,
    python: str = "python3",
    seconds: float = 30.0,
    network: bool = False,
    prompts: Prompts = Prompts(),
) -> SandboxTester:
    """Return a tester, for strategies that select by tests.

    `tests` are your own: files, or texts by name. `writer` writes more: a model, by name or as it is, or an
    agent that works in `workspaces`. `command` runs the repository's tests. All of them run in `sandbox`:
    `bwrap` where none is named, or `none`. A test has `seconds`, and runs by the `python` of the sandbox.

    Raises:
        UsageError: a file cannot be read, a name is not known, the sandbox cannot be had, or an agent that
            writes has no workspaces.
    """
    box = named(sandbox) if isinstance(sandbox, str) else sandbox
    writers: dict[SuiteKind, Writer] = {}
    if tests:
        writers["given"] = _given(tests)
    asked = model(writer) if isinstance(writer, str) else writer
    if isinstance(asked, Chat):
        both = ModelTests(model=asked, prompts=prompts)
        writers |= {"written": both, "inputs": both}
    elif asked is not None:
        if workspaces is None:
            raise UsageError(
                "an agent writes tests in a clone of a repository: give workspaces, or name a model"
            )
        writers["written"] = AgentTests(agent=asked, workspaces=workspaces, prompts=prompts)
    if isinstance(command, str) and command:
        command = TestCommand(command=command, sandbox=box)
    return SandboxTester(
        sandbox=box,
        writers=writers,
        workspaces=workspaces,
        command=command or None,
        python=python,
        seconds=seconds,
        network=network,
    )


setattr(tester, "__test__", False)  # noqa: B010 - pytest would take the name for a test


def _given(tests: Mapping[str, str] | Sequence[str | Path]) -> GivenTests:
    if isinstance(tests, Mapping):
        return GivenTests(dict(tests))
    return GivenTests.read([Path(path) for path in tests])
