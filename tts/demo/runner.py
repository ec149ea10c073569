"""Runs plain `test_…` functions in this process and writes each result to a connection.

It runs in a child of the warm process and needs the standard library only.  A result is a line that
begins with a secret word from the request, so text that the tested code prints, or writes to a file
descriptor that it guessed, counts for nothing.  Code that sets out to read the word from this process
can: the demo runs no such code, and a grader of foreign code needs a process of its own.
"""

from __future__ import annotations

import ast
import gc
import io
import json
import linecache
import os
import re
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import CodeType, FrameType, ModuleType
from typing import Any

SHOWN_CHARS = 400
"""Longest message, and longest captured output, of one test."""

Lines = dict[str, list[int]]


class OutOfTime(BaseException):
    """Raised inside a test that used up its time; not an `Exception`, so tests seldom swallow it."""


class Captured(io.StringIO):
    """Keeps the first characters that are printed and drops the rest."""

    def write(self, text: str) -> int:
        """Return the length of `text`, as if all were kept."""
        super().write(text[: max(0, SHOWN_CHARS - self.tell())])
        return len(text)


class Clock:
    """Raises `OutOfTime` in a test after so much processor time, or three times that and a second."""

    def __init__(self, cpu_seconds: float) -> None:
        self._cpu_seconds = cpu_seconds
        self._armed = False
        signal.signal(signal.SIGPROF, self._ring)
        signal.signal(signal.SIGALRM, self._ring)

    def __enter__(self) -> None:
        self._armed = True
        signal.setitimer(signal.ITIMER_PROF, self._cpu_seconds, 0.02)
        signal.setitimer(signal.ITIMER_REAL, 1 + 3 * self._cpu_seconds, 0.02)

    def __exit__(self, *_: object) -> None:
        self._armed = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _ring(self, number: int, frame: FrameType | None) -> None:
        if self._armed:
            raise OutOfTime


class Coverage:
    """Collects the lines that run in the directory's own files, tests excepted."""

    def __init__(self, directory: str) -> None:
        self._prefix = directory + os.sep
        self._tests = os.path.join(directory, "tests") + os.sep
        self._seen: set[tuple[str, int]] = set()

    def __enter__(self) -> None:
        self._seen.clear()
        sys.settrace(self._enter_frame)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _enter_frame(self, frame: FrameType, event: str, arg: object) -> Any:
        name = frame.f_code.co_filename
        return self._step if name.startswith(self._prefix) and not name.startswith(self._tests) else None

    def _step(self, frame: FrameType, event: str, arg: object) -> Any:
        self._seen.add((frame.f_code.co_filename, frame.f_lineno))
        return self._step

    def lines(self) -> Lines:
        """Return relative file names and the sorted numbers of the lines that ran since it was entered."""
        found: Lines = {}
        for name, line in sorted(self._seen):
            found.setdefault(name[len(self._prefix) :], []).append(line)
        return found


def show_operands(node: ast.AST) -> None:
    """Make every `assert a == b` below the node say both values when it fails."""
    for name in ("body", "orelse", "finalbody", "handlers"):
        block = getattr(node, name, [])
        for at, inner in enumerate(block):
            show_operands(inner)
            if isinstance(inner, ast.Assert):
                block[at] = _shown(inner)


def _shown(node: ast.Assert) -> ast.stmt:
    if node.msg is not None or not isinstance(node.test, ast.Compare) or len(node.test.ops) > 1:
        return node
    kept = [_assign("@left", node.test.left), _assign("@right", node.test.comparators[0])]
    node.test.left, node.test.comparators = _load("@left"), [_load("@right")]
    sign = ast.Constant(_SIGNS[type(node.test.ops[0])])
    node.msg = ast.Call(_load("@show"), [_load("@left"), sign, _load("@right")], [])
    block = ast.copy_location(ast.If(ast.Constant(True), [*kept, node], []), node)
    return ast.fix_missing_locations(block)


_SIGNS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}


def _load(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _assign(name: str, value: ast.expr) -> ast.Assign:
    return ast.Assign([ast.Name(name, ast.Store())], value)


def _show(left: object, sign: str, right: object) -> str:
    return f"assert {_brief(left)} {sign} {_brief(right)}"


def _brief(value: object) -> str:
    text = re.sub(r" at 0x[0-9a-f]+", "", repr(value))
    return text if len(text) <= 120 else f"{text[:60]}...{text[-57:]}"


def main(connection: int) -> None:
    """Read a request from the connection, run its tests, and write a result per test."""
    request = json.loads(_read_line(connection))
    word, directory = request["word"], os.path.realpath(request["directory"])
    gc.disable()  # a collection would copy the pages that are shared with the warm process
    _confine(connection, request["cpu_seconds"], request["memory_bytes"])
    os.chdir(directory)
    sys.path.insert(0, directory)
    sys.dont_write_bytecode = True

    def send(**record: Any) -> None:
        rest = f"\n{word}{json.dumps(record)}\n".encode()
        while rest:
            rest = rest[os.write(connection, rest) :]

    run = Run(directory, send, Clock(request["test_seconds"]), coverage=request["coverage"])
    for file, names in _by_file(request["tests"]).items():
        run.file(file, names)
    send(end=True)


class Run:
    """Runs test files one after another and sends what came out."""

    def __init__(
        self, directory: str, send: Callable[..., None], clock: Clock, *, coverage: bool = False
    ) -> None:
        self._directory = directory
        self._send = send
        self._clock = clock
        self._coverage = Coverage(directory) if coverage else None

    def file(self, file: str, names: list[str]) -> None:
        """Run the named tests of the file, or all of them where no name is given."""
        loaded: list[ModuleType] = []
        path = os.path.join(self._directory, file)
        tree, problem = _parse(path)
        wanted = names or _tests_of(tree) or [""]
        self._send(plan=[_test_id(file, name) for name in wanted])
        result = problem or self._guard(lambda: loaded.append(_load_tests(tree, file, path)))
        self._send(imported=file, lines=result.pop("lines", {}))
        for name in wanted:
            if result["outcome"] == "passed":
                self._test(loaded[0], file, name)
            else:
                self._send(id=_test_id(file, name), **result)

    def _test(self, module: ModuleType, file: str, name: str) -> None:
        function = getattr(module, name, None)
        if callable(function):
            self._send(id=_test_id(file, name), **self._guard(function))
        else:
            self._send(id=_test_id(file, name), outcome="failed", message="no such test")

    def _guard(self, call: Callable[[], object]) -> dict[str, Any]:
        """Return how the call ended; nothing that it raises leaves here."""
        output = sys.stdout = sys.stderr = Captured()
        try:
            with self._clock:
                if self._coverage is None:
                    call()
                else:
                    with self._coverage:
                        call()
            record: dict[str, Any] = {"outcome": "passed"}
        except OutOfTime:
            record = {"outcome": "timeout", "message": "out of time"}
        except BaseException as error:  # noqa: BLE001 - also SystemExit is a failed test
            record = {"outcome": "failed", **self._describe(error)}
        finally:
            sys.settrace(None)
        lines = {"lines": self._coverage.lines()} if self._coverage else {}
        return {**record, "output": output.getvalue(), **lines}

    def _describe(self, error: BaseException) -> dict[str, Any]:
        frames = [
            f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(self._directory)
        ]
        places = [(os.path.relpath(f.filename, self._directory), f.lineno or 0) for f in frames]
        said = "".join(traceback.format_exception_only(error)).strip()
        last = next((place for place in reversed(places) if place[0].startswith("tests")), ("", 0))
        trace = [f"{name}:{line}: {frame.line}" for (name, line), frame in zip(places, frames, strict=True)]
        return {"message": said[:SHOWN_CHARS], "line": last[1], "trace": trace[-6:]}


def _by_file(tests: list[str]) -> dict[str, list[str]]:
    wanted: dict[str, list[str]] = {}
    for test in tests:
        file, _, name = test.partition("::")
        wanted.setdefault(file, []).extend([name] if name else [])
    return wanted


def _test_id(file: str, name: str) -> str:
    return f"{file}::{name}" if name else file


def _parse(path: str) -> tuple[ast.Module, dict[str, Any] | None]:
    """The tree of a test file, or an empty one with what is wrong with the file."""
    try:
        with open(path, encoding="utf-8") as source:
            return ast.parse(source.read(), path), None
    except (OSError, SyntaxError, ValueError) as error:
        message = f"{type(error).__name__}: {error}"[:SHOWN_CHARS]
        return ast.Module([], []), {"outcome": "failed", "message": message}


def _tests_of(tree: ast.Module) -> list[str]:
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [node.name for node in functions if node.name.startswith("test_")]


def _load_tests(tree: ast.Module, file: str, path: str) -> ModuleType:
    show_operands(tree)
    code: CodeType = compile(tree, path, "exec")
    module = ModuleType(file.removesuffix(".py").replace("/", "."))
    module.__dict__.update({"__file__": path, "@show": _show})
    sys.modules[module.__name__] = module
    exec(code, module.__dict__)
    return module


def _read_line(connection: int) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        more = os.read(connection, 65536)
        if not more:
            os._exit(0)  # the client left before it asked for anything
        data += more
    return data


def _confine(connection: int, cpu_seconds: int, memory_bytes: int) -> None:
    """Leave the tests no other channel than the connection, and limited processor time, memory and files."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.closerange(3, connection)
    os.closerange(connection + 1, os.sysconf("SC_OPEN_MAX"))
    limits = {
        resource.RLIMIT_CPU: (cpu_seconds, cpu_seconds + 1),
        resource.RLIMIT_AS: (memory_bytes, memory_bytes),
        resource.RLIMIT_FSIZE: (memory_bytes // 16, memory_bytes // 16),
        resource.RLIMIT_CORE: (0, 0),
    }
    for kind, limit in limits.items():
        with suppress(ValueError, OSError):  # a lower limit is in force already, or the system has none
            resource.setrlimit(kind, limit)
    linecache.clearcache()
