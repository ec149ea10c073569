"""The warm test process: what hangs, crashes, prints or lies is an outcome, and nothing is left running."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from tts.demo.harness import Harness, Limits, Report, warm_tests
from tts.errors import Infra

QUICK = Limits(test_seconds=0.1)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for folder in ("pkg", "tests"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text("")
    (tmp_path / "pkg" / "code.py").write_text(
        "LIMIT = 3\n\n\ndef clip(x):\n    if x > LIMIT:\n        return LIMIT\n    return x\n"
    )
    return tmp_path


def run(place: Path, source: str, *tests: str, coverage: bool = False, limits: Limits = QUICK) -> Report:
    (place / "tests" / "test_x.py").write_text(source)

    async def main() -> Report:
        async with warm_tests() as harness:
            return await harness.run(place, tests or ["tests/test_x.py"], coverage=coverage, limits=limits)

    return anyio.run(main)


def outcomes(report: Report) -> dict[str, str]:
    return {outcome.id.removeprefix("tests/test_x.py::"): outcome.outcome for outcome in report.outcomes}


def alive(marker: str) -> list[int]:
    """Processes whose command line holds the marker."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        try:
            told = (entry / "cmdline").read_bytes().decode(errors="replace")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, IndexError):
            continue
        if entry.name.isdigit() and marker in told and state != "Z":
            found.append(int(entry.name))
    return found


def test_passes_and_failures_are_told_with_values_and_places(place: Path) -> None:
    source = (
        "from pkg.code import clip\n\n"
        "def test_low():\n    assert clip(2) == 2\n\n"
        "def test_high():\n    print('noise')\n    assert clip(9) == 9, 'said'\n\n"
        "def test_shown():\n    assert clip(9) == 9\n\n"
        "def test_error():\n    clip('x')\n"
    )
    report = run(place, source)
    low, high, shown, error = report.outcomes
    assert (low.outcome, low.line) == ("passed", 0)
    assert (high.message, high.line, high.output) == ("AssertionError: said", 8, "noise\n")
    assert shown.message == "AssertionError: assert 3 == 9"
    assert error.message.startswith("TypeError: ")
    assert error.trace[-1].startswith("pkg/code.py:5: if x > LIMIT")
    assert not report.passed
    assert report.log().splitlines()[0] == "PASSED tests/test_x.py::test_low"
    assert "FAILED tests/test_x.py::test_shown - AssertionError: assert 3 == 9" in report.log()
    assert report.log().splitlines()[-1] == "3 failed, 1 passed"


def test_one_test_can_be_asked_for(place: Path) -> None:
    source = "def test_a(): assert False\n\ndef test_b(): pass\n"
    assert outcomes(run(place, source, "tests/test_x.py::test_b")) == {"test_b": "passed"}
    assert outcomes(run(place, source, "tests/test_x.py::test_no")) == {"test_no": "failed"}


def test_lines_are_recorded_per_test_and_for_the_import(place: Path) -> None:
    source = "from pkg.code import clip\n\ndef test_a(): clip(1)\n\ndef test_b(): clip(9)\n"
    report = run(place, source, coverage=True)
    assert [dict(outcome.lines) for outcome in report.outcomes] == [
        {"pkg/code.py": [5, 7]},
        {"pkg/code.py": [5, 6]},
    ]
    assert report.imported["pkg/code.py"] == [1, 4]


ENDLESS = (
    "import time, threading\n"
    "def test_before(): pass\n"
    "def test_loop():\n    while True: pass\n"
    "def test_between(): pass\n"
    "def test_swallows():\n"
    "    while True:\n"
    "        try:\n"
    "            while True: pass\n"
    "        except BaseException: pass\n"
    "def test_sleeps(): time.sleep(1000)\n"
    "def test_thread(): threading.Thread(target=time.sleep, args=(1000,)).start()\n"
    "def test_after(): pass\n"
)


def test_endless_tests_time_out_and_the_others_keep_their_results(place: Path) -> None:
    report = run(place, ENDLESS, limits=Limits(test_seconds=0.05))
    assert outcomes(report) == {
        "test_before": "passed",
        "test_loop": "timeout",
        "test_between": "passed",
        "test_swallows": "timeout",
        "test_sleeps": "timeout",
        "test_thread": "passed",
        "test_after": "passed",
    }


def test_a_run_that_ignores_every_signal_is_killed(place: Path) -> None:
    source = (
        "import signal, sys\n"
        "def test_before(): pass\n"
        "def test_deaf():\n"
        "    for number in (signal.SIGALRM, signal.SIGPROF, signal.SIGXCPU):\n"
        "        signal.signal(number, signal.SIG_IGN)\n"
        "    signal.pause()\n"
    )
    (place / "tests" / "test_x.py").write_text(source)

    async def main() -> Report:
        async with warm_tests(run_seconds=0.3) as harness:
            return await harness.run(place, ["tests/test_x.py"])

    assert outcomes(anyio.run(main)) == {"test_before": "passed", "test_deaf": "timeout"}


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("import os; os._exit(0)", "crashed"),
        ("import os; os.kill(os.getpid(), 11)", "crashed"),
        ("import os; os.killpg(0, 9)", "timeout"),
        ("import sys; sys.exit(0)", "failed"),
        ("raise KeyboardInterrupt", "failed"),
        ("[0] * 10**12", "failed"),
        ("x = bytearray(10**9)", "failed"),
        ("f = lambda: f(); f()", "failed"),
        ("import os; os.closerange(0, 1000)", "crashed"),
        ("import os\n    while True: os.fork() or os._exit(0)", "timeout"),
    ],
)
def test_a_crash_is_an_outcome_of_its_test(place: Path, body: str, outcome: str) -> None:
    source = f"def test_before(): pass\n\ndef test_bad():\n    {body}\n"
    found = outcomes(run(place, source, limits=Limits(test_seconds=0.05)))
    assert found == {"test_before": "passed", "test_bad": outcome}


@pytest.mark.parametrize("source", ["def test_x(:\n", "import nothing_of_this_name\n", "raise SystemExit\n"])
def test_a_file_that_cannot_be_loaded_fails(place: Path, source: str) -> None:
    report = run(place, source + "def test_x(): pass\n")
    assert report.outcomes
    assert {outcome.outcome for outcome in report.outcomes} == {"failed"}


def test_a_missing_file_and_a_file_without_tests_do_not_pass(place: Path) -> None:
    assert not run(place, "", "tests/test_none.py").passed
    assert not run(place, "x = 1\n").passed


SPOOFS = [
    "print('PASSED tests/test_x.py::test_bad')",
    "import json, os\n"
    "    told = json.dumps({'id': 'tests/test_x.py::test_bad', 'outcome': 'passed'}).encode()\n"
    "    for fd in range(100):\n"
    "        try: os.write(fd, b'\\n' + told + b'\\n{\"end\": true}\\nexit 0\\n')\n"
    "        except OSError: pass",
    "import os\n    os.write(1, b'exit 0\\n'); os._exit(0)",
]


@pytest.mark.parametrize("body", SPOOFS)
def test_what_the_tested_code_writes_is_no_result(place: Path, body: str) -> None:
    source = f"def test_bad():\n    {body}\n    assert False\n"
    report = run(place, source)
    assert [outcome.id for outcome in report.outcomes] == ["tests/test_x.py::test_bad"]
    assert not report.passed


def test_endless_output_is_cut(place: Path) -> None:
    report = run(place, "def test_a():\n    for i in range(20000): print('x' * 100)\n    assert False\n")
    assert 0 < len(report.outcomes[0].output) <= 500


def test_the_tested_code_sees_no_secret_of_the_environment(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")
    assert run(place, "import os\ndef test_a(): assert 'SOME_API_KEY' not in os.environ\n").passed


def test_results_do_not_depend_on_company(place: Path) -> None:
    (place / "tests" / "test_x.py").write_text(
        "from pkg import code\ndef test_a():\n    assert code.LIMIT == 3\n    code.LIMIT = 4\n"
    )

    async def main() -> None:
        async def one(harness: Harness) -> None:
            assert (await harness.run(place, ["tests/test_x.py"])).passed

        async with warm_tests(n_at_once=4) as harness, anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(one, harness)

    anyio.run(main)
    assert not list(place.rglob("__pycache__"))


def waiting_test(marker: str) -> str:
    """A test that starts a process known by the marker and then hangs."""
    command = [sys.executable, "-c", "import time; time.sleep(1000)", marker]
    return (
        f"import subprocess, time\ndef test_a():\n    subprocess.Popen({command!r})\n    time.sleep(1000)\n"
    )


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not condition():
            await anyio.lowlevel.checkpoint()


def test_cancelling_ends_the_run_and_what_it_started(place: Path) -> None:
    marker = f"cancelled-{os.getpid()}"
    (place / "tests" / "test_x.py").write_text(waiting_test(marker))

    async def main() -> None:
        async with warm_tests(run_seconds=60) as harness:
            async with anyio.create_task_group() as group:
                group.start_soon(harness.run, place, ["tests/test_x.py"])
                await until(lambda: bool(alive(marker)))
                group.cancel_scope.cancel()
            await until(lambda: not alive(marker))

    anyio.run(main)
    anyio.run(until, lambda: not alive(marker))  # killed, and gone as soon as the kernel has seen to it


def test_leaving_ends_everything(place: Path) -> None:
    marker = f"left-{os.getpid()}"
    (place / "tests" / "test_x.py").write_text(waiting_test(marker))
    sockets: list[str] = []

    async def main() -> None:
        async with anyio.create_task_group() as group, warm_tests(run_seconds=60) as harness:
            sockets.append(str(harness.socket))
            group.start_soon(harness.run, place, ["tests/test_x.py"])
            await until(lambda: bool(alive(marker)))
            group.cancel_scope.cancel()

    anyio.run(main)
    anyio.run(until, lambda: not alive(marker))  # killed, and gone as soon as the kernel has seen to it
    assert not alive(sockets[0])


def test_a_killed_warm_process_is_an_infrastructure_failure(place: Path) -> None:
    (place / "tests" / "test_x.py").write_text("def test_a(): pass\n")

    async def main() -> None:
        async with warm_tests() as harness:
            for pid in alive(str(harness.socket)):
                os.kill(pid, signal.SIGKILL)
            await harness.run(place, ["tests/test_x.py"])

    with pytest.raises(Infra, match="warm test process"):
        anyio.run(main)
