"""Tests written for candidates and run for real, in a sandbox, on programs and on repositories."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from tts_strategies.codet import CodeT
from tts_strategies.matrix import matrix

from tts.agents.tested import TestCommand
from tts.errors import Infra, Unusable, UsageError
from tts.models.call import Patience
from tts.models.names import model
from tts.sandboxes.named import sandbox
from tts.suites import Execution, Suite, TestCase
from tts.testers.names import outcomes_of
from tts.testers.own import OwnTests
from tts.testers.sandboxed import SandboxTester, program_of
from tts.testers.writers import AgentTests, GivenTests, ModelTests
from tts.testing import ScriptedAgent, opened, stored, strategy_run
from tts.testing.provider import ModelServer, Says
from tts.types import Pool, Rollout, Step, Task
from tts.workspaces.git import GitWorkspaces

FIVE = "import sums\nassert sums.double(5) == 10\n"
BOXES = [
    "none",
    pytest.param("bwrap", marks=pytest.mark.skipif(not shutil.which("bwrap"), reason="no bwrap")),
]
TASK = Task("double", "Write double(x).")
GOOD, BAD = "def double(x):\n    return 2 * x\n", "def double(x):\n    return x + 2\n"
QUICK = Patience(total_seconds=20, stall_seconds=2.0, first_wait_seconds=0.001, longest_wait_seconds=0.01)


def made(name: str = "none", **options) -> SandboxTester:
    return SandboxTester(sandbox=sandbox(name), python=sys.executable, **options)


def executed(suite: Suite, output: str, *, by: SandboxTester | None = None, task: Task = TASK) -> Execution:
    rollout = Rollout(answer=output) if not task.repo else Rollout(patch=output)
    return anyio.run((by or made()).execute, task, suite, rollout)


def ended(codes, program: str = GOOD, **options) -> list[str]:
    suite = Suite(cases=tuple(TestCase(code) for code in codes))
    return [outcome.status for outcome in executed(suite, program, by=made(**options)).outcomes]


@pytest.mark.parametrize("name", BOXES)
def test_each_test_ends_by_itself(name):
    codes = [
        "assert double(2) == 4\nprint('fine')",
        "assert double(3) == 7",
        "raise SystemExit(0)",
        "raise SystemExit(3)",
        "import os; os._exit(0)",
        "import os; os.kill(os.getpid(), 9)",
        "while True: pass",
        "nonsense(",
    ]
    suite = Suite(cases=tuple(TestCase(code) for code in codes))
    ran = executed(suite, GOOD, by=made(name, seconds=0.5))
    told = ["passed", "failed", "passed", "error", "error", "error", "timeout", "failed"]
    assert [outcome.status for outcome in ran.outcomes] == told
    assert ran.outcomes[0].output == "fine\n"
    assert "AssertionError" in ran.outcomes[1].output


def test_a_program_that_ends_the_process_passes_nothing():
    assert ended(["assert double(2) == 4"], "import os\nos._exit(0)\n") == ["error"]
    assert ended(["assert double(2) == 4"], "raise SystemExit(0)\n") == [
        "passed"
    ]  # as for a script by itself


def test_what_a_test_starts_does_not_outlive_it(tmp_path):
    left = "import subprocess; p = subprocess.Popen(['sleep', '47.4747']); print(p.pid)"
    suite = Suite(cases=(TestCase(left), TestCase("print(1)")))
    ran = executed(suite, "", by=made())
    pid = int(ran.outcomes[0].output)
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or state.read_text().split()[2] in "ZX"
    assert [o.status for o in ran.outcomes] == ["passed", "passed"]


@pytest.mark.parametrize("name", BOXES)
def test_a_program_that_kills_its_runner_harms_itself_alone(name):
    kill = "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n"
    suite = Suite(cases=(TestCase("pass"), TestCase("pass")))
    assert [o.status for o in executed(suite, kill, by=made(name)).outcomes] == ["error", "error"]


def test_a_python_that_is_not_there_is_no_fault_of_the_program():
    by = SandboxTester(sandbox=sandbox("none"), python="python-of-nowhere")
    with pytest.raises(Infra, match="python-of-nowhere"):
        anyio.run(by.execute, TASK, Suite(cases=(TestCase("pass"),)), Rollout(answer=GOOD))


def test_a_flood_is_cut_and_hostile_output_is_made_plain():
    flood = "print('x' * 10_000_000); print('\\x1b[31mred')"
    (outcome,) = executed(Suite(cases=(TestCase(flood),)), "").outcomes
    assert len(outcome.output) <= 2_000
    assert outcome.output.endswith("red\n")
    assert "\x1b" not in outcome.output


def test_the_program_of_an_answer_is_its_last_block():
    assert program_of(f"First:\n```python\nx = 1\n```\nno:\n```python\n{GOOD}```") == GOOD
    assert program_of(GOOD) == GOOD


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (
            "PASSED t.py::a\nFAILED t.py::b - assert 0\nERROR t.py::c\n",
            {"a": "passed", "b": "failed", "c": "failed"},
        ),
        ("t.py::a PASSED  [ 50%]\nt.py::b FAILED [100%]\n", {"a": "passed", "b": "failed"}),
        (
            "test_a (m.T) ... ok\ntest_b (m.T) ... FAIL\n",
            {"test_a (m.T)": "passed", "test_b (m.T)": "failed"},
        ),
        ("--- PASS: TestA (0.0s)\n    --- FAIL: TestA/b (0.0s)\n", {"TestA": "passed", "TestA/b": "failed"}),
        ("test a::b ... ok\ntest a::c ... FAILED\n", {"a::b": "passed", "a::c": "failed"}),
        ("ok 1 - adds\nnot ok 2 - takes away\n", {"adds": "passed", "takes away": "failed"}),
        ("==== 2 passed, 1 failed in 0.1s ====", {"test 1": "passed", "test 2": "passed"}),
        ("hello", {"all": "failed"}),
    ],
)
def test_names_are_read(output, told):
    found = {o.name.removeprefix("t.py::"): o.status for o in outcomes_of("pytest", output, 1)}
    assert found == told


PATCH = """diff --git a/tests/test_new.py b/tests/test_new.py
new file mode 100644
--- /dev/null
+++ b/tests/test_new.py
@@ -0,0 +1,2 @@
+def test_it():
+    assert True
"""


def test_own_tests_come_from_the_patch_and_from_commands():
    steps = [
        Step(action="cat > /testbed/repro.py <<'EOF'\nprint(1)\n\nraise SystemExit(1)\nEOF\npython repro.py"),
        Step(action="cat <<EOF > notes.txt\nnothing\nEOF"),
        Step(action="cat << 'END' > check_it.py\nassert 1\nEND"),
    ]
    (suite,) = anyio.run(OwnTests().write, TASK, "own", [(Rollout(patch=PATCH), steps)])
    codes = {case.path or "script": case for case in suite.cases}
    assert [c.code for c in suite.cases if not c.path] == ["print(1)\n\nraise SystemExit(1)\n", "assert 1\n"]
    assert "pytest" in codes["tests/test_new.py"].command


def asked(server, **options):
    chat = model("openai/m", base_url=server.openai_url, patience=QUICK)
    return ModelTests(model=chat, **options)


BLOCK = "```python\nassert double({}) == {}\n```\n"
TESTS = BLOCK.format(2, 4) + BLOCK.format(3, 6) + BLOCK.format(2, 4)


def test_a_model_writes_tests_and_codet_selects_by_them():
    with ModelServer(lambda asked: Says(TESTS)) as server:
        by = made(writers={"written": asked(server)})

        async def main():
            async with opened(tester=by) as ledger:
                run = strategy_run(ledger, task=TASK, tester=by)
                pool = await stored(
                    Pool(tuple(Rollout(answer=a, index=i) for i, a in enumerate((BAD, GOOD, GOOD)))), run
                )
                table = await matrix(run.scope(), pool.rollouts, "written", n=2)
                return table, await CodeT(n=2)(pool, run.scope()), run.spending

        table, chosen, spending = anyio.run(main)
        prompt = server.requests[0].asked.prompt
    assert sorted(table.weights) == [2.0, 4.0]
    assert sorted(table.passes.values()) == [(True, False), (True, True), (True, True)]
    assert chosen.winner is not None
    assert chosen.winner.output == GOOD
    assert spending.usage.calls == 2
    assert "4 independent tests" in prompt
    assert GOOD not in prompt


def test_a_kind_that_nobody_writes_stops_the_run():
    with pytest.raises(Unusable, match="a model or an agent that writes tests"):
        anyio.run(made().write, TASK, "written", [])


def test_tests_that_cannot_be_read_are_told(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        GivenTests.read([tmp_path / "none.py"])


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Task:
    folder = tmp_path_factory.mktemp("repo")
    (folder / "sums.py").write_text("def double(x):\n    return x + 1\n\n\ndef one():\n    return 1\n")
    (folder / "test_sums.py").write_text("from sums import one\n\n\ndef test_one():\n    assert one() == 1\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    for args in (["init", "-q"], ["add", "."], ["commit", "-qm", "base"]):
        subprocess.run([*git, *args], cwd=folder, check=True)
    base = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True
    )
    return Task("sums", "double() is wrong", repo=str(folder), base_commit=base.stdout.strip())


def diff(old: str, new: str) -> str:
    head = "diff --git a/sums.py b/sums.py\n--- a/sums.py\n+++ b/sums.py\n@@ -1,6 +1,6 @@\n"
    lines = "def double(x):\n    return x + 1\n\n\ndef one():\n    return 1\n".splitlines()
    body = "".join(f"-{line}\n+{new}\n" if line == old else f" {line}\n" for line in lines)
    return head + body


RIGHT = diff("    return x + 1", "    return x * 2")
BREAKS = diff("    return 1", "    return 2")
NEITHER = diff("    return x + 1", "    return x + 3")


@pytest.mark.parametrize("name", BOXES)
def test_on_a_repository_new_tests_fail_before_and_old_ones_pass(name, repository):
    box = sandbox(name)
    command = TestCommand(command=f"{sys.executable} -m pytest -q -rA -p no:cacheprovider", sandbox=box)
    given = GivenTests({"a.py": FIVE, "b.py": "import sums\n"})
    by = made(name, writers={"given": given}, workspaces=GitWorkspaces(), command=command)

    async def main():
        async with opened(tester=by) as ledger:
            run = strategy_run(ledger, task=repository, tester=by)
            pool = Pool(tuple(Rollout(patch=p, index=i) for i, p in enumerate((RIGHT, BREAKS, NEITHER))))
            pool = await stored(pool, run)
            return pool, [await matrix(run.scope(), pool.rollouts, kind) for kind in ("given", "regression")]

    pool, (new, old) = anyio.run(main)
    keys = [rollout.key for rollout in pool]
    assert [new.passes[key] for key in keys] == [(True,), (False,), (False,)]  # b.py passes before: left out
    assert [old.passes[key] for key in keys] == [(True,), (False,), (True,)]
    assert new.whole
    assert old.whole


def test_a_patch_that_does_not_fit_passes_nothing(repository):
    by = made(workspaces=GitWorkspaces())
    ran = executed(Suite(cases=(TestCase("pass"),)), RIGHT.replace("x + 1", "x + 9"), by=by, task=repository)
    assert ran.status == "failed"
    assert ran.outcomes == ()


def test_an_agent_writes_a_test(repository):
    async def script(task, attempt):
        assert "test_written.py" in task.prompt
        await anyio.Path(attempt.workspace, "test_written.py").write_text(FIVE)
        return Rollout()

    by = AgentTests(agent=ScriptedAgent(script), workspaces=GitWorkspaces())
    (suite,) = anyio.run(by.write, repository, "written", [])
    assert [case.code for case in suite.cases] == [FIVE]


def test_the_fingerprint_tells_what_can_change_a_result():
    base = made()
    others = [
        replace(base, seconds=1.0),
        replace(base, network=True),
        replace(base, writers={"given": GivenTests({})}),
    ]
    assert len({base.fingerprint, *(other.fingerprint for other in others)}) == 4
