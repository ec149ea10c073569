"""Tells from inside the test process which tests ended how, and that the process ended by itself.

PYTEST_DONT_REWRITE: the environment's `.pth` file imports this module first, so pytest finds it loaded. It is
copied into the environment that tests run in; it knows nothing of tts and runs on Python 3.6 and later.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable  # noqa: UP035


def _tell(**what: "Any") -> None:
    """Say something on the way out, where there is one."""


_config: "Any" = None

UNITTEST = {
    "addSuccess": "ok",
    "addFailure": "FAIL",
    "addError": "ERROR",
    "addSkip": "skipped",
    "addExpectedFailure": "expected failure",
    "addUnexpectedSuccess": "unexpected success",
}
SYMPY = {"test_pass": "ok", "test_fail": "F", "test_exception": "E"}


def _begin() -> None:
    """Set up the way out, where this is a process that the tests' shell itself started."""
    told = os.environ.pop("TTS_WITNESS", "")
    if not told:
        return
    path, word, shell = told.rsplit(":", 2)
    if os.getppid() != int(shell):
        return
    import atexit
    from importlib.machinery import PathFinder

    global _tell
    _tell = _writer(path, word)
    _tell(event="start")
    atexit.register(_tell, event="end")
    watch: Any = _Watch(PathFinder)
    sys.meta_path.insert(0, watch)
    others = os.environ.get("PYTEST_PLUGINS")
    os.environ["PYTEST_PLUGINS"] = ",".join(filter(None, [others, __name__]))


def _writer(path: str, word: str) -> "Callable[..., None]":
    import json

    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    write, getpid, dumps, own = os.write, os.getpid, json.dumps, os.getpid()

    def tell(**what: "Any") -> None:
        if getpid() == own:
            write(fd, f"{word} {dumps(dict(what, pid=own))}\n".encode())

    return tell


def pytest_configure(config: "Any") -> None:
    """Keep sessions that tests start themselves from telling anything."""
    global _config
    if _config is None:
        _config = config
        left = [
            name for name in os.environ.get("PYTEST_PLUGINS", "").split(",") if name not in ("", __name__)
        ]
        os.environ.pop("PYTEST_PLUGINS", None)
        if left:
            os.environ["PYTEST_PLUGINS"] = ",".join(left)


def pytest_runtest_logreport(report: "Any") -> None:
    """Tell how a part of a test ended, in the words of pytest's summary."""
    expected = hasattr(report, "wasxfail")
    if report.failed:
        status = "FAILED" if report.when == "call" else "ERROR"
    elif report.skipped:
        status = "XFAIL" if expected else "SKIPPED"
    elif report.when == "call":
        status = "XPASS" if expected else "PASSED"
    else:
        return
    _tell(line=f"{status} {_config.cwd_relative_nodeid(report.nodeid)}")


def pytest_sessionfinish(session: "Any", exitstatus: "Any") -> None:
    """Tell that the session came to its end."""
    _tell(event="closed")


class _Watch:
    """Adds to the runners that have no plug-ins, when they are imported."""

    def __init__(self, finder: "Any") -> None:
        self.finder = finder

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        add = ADDITIONS.get(name)
        spec = self.finder.find_spec(name, path) if add else None
        if spec is None or spec.loader is None or add is None:
            return None
        run = spec.loader.exec_module

        def exec_module(module: "Any") -> None:
            run(module)
            assert add is not None
            add(module)

        spec.loader.exec_module = exec_module
        return spec


def _unittest(module: "Any") -> None:
    def told(result: "Any", arguments: "Any", word: str) -> None:
        describe = getattr(result, "getDescription", str)
        _tell(line=f"{describe(arguments[0])} ... {word}")

    for name, word in UNITTEST.items():
        _after(module.TestResult, name, told, word)
    _after(module.TestResult, "stopTestRun", lambda *_: _tell(event="closed"), "")


def _sympy(module: "Any") -> None:
    def told(reporter: "Any", arguments: "Any", word: str) -> None:
        active = getattr(reporter, "_active_f", None)
        _tell(line=f"{getattr(active, '__name__', '')} {word}")

    for name, word in SYMPY.items():
        _after(module.PyTestReporter, name, told, word)
    _after(module.PyTestReporter, "finish", lambda *_: _tell(event="closed"), "")


def _after(kind: "Any", name: str, told: "Callable[..., None]", word: str) -> None:
    method = getattr(kind, name)

    def wrapped(self: "Any", *arguments: "Any", **named: "Any") -> "Any":
        result = method(self, *arguments, **named)
        told(self, arguments, word)
        return result

    wrapped.__name__, wrapped.__doc__ = name, method.__doc__
    wrapped.__dict__.update(method.__dict__)
    setattr(kind, name, wrapped)


ADDITIONS: "dict[str, Callable[[Any], None]]" = {
    "unittest.result": _unittest,
    "sympy.testing.runtests": _sympy,
    "sympy.utilities.runtests": _sympy,
}

_begin()
