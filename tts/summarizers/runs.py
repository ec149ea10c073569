"""Which command lines run tests, and which tests; what of a step is a captured test run."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tts.summarizers.counts import counts
from tts.summarizers.shell import Part, edits, is_scratch, simple_commands, unwrapped
from tts.types import Rollout, Step, TestRun


@dataclass(frozen=True, slots=True)
class Selection:
    """Which tests a command runs.

    `targets` are files, directories or test ids, none for all. `filters` are options that leave tests
    out. `masked` when the return code is not the tests' own, as behind `| tail` or `|| true`.
    """

    tool: str
    targets: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    masked: bool = False

    @property
    def whole(self) -> bool:
        """Whether the command runs the whole suite."""
        return not self.filters and all(t in ("", ".", "...", "test", "tests") for t in self.targets)

    @property
    def same(self) -> tuple[object, ...]:
        """What two commands share that run the same tests."""
        return (self.tool, tuple(sorted(self.targets)), self.filters)

    def covers(self, ids: Iterable[str]) -> bool:
        """Return whether every one of the test ids is among the tests."""
        return self.whole or (not self.filters and all(self._covers(_place(i)) for i in ids))

    def _covers(self, place: str) -> bool:
        return any(place == t or place.startswith((t + "::", t + "/")) for t in self.targets)


def selection(command: str) -> Selection | None:
    """Return which tests the command line runs; None where it runs none, or where its output proves nothing.

    A line counts only when nothing else in it can print what a test run prints: set-up such as `cd` may
    stand before the tests, `| tail`, `|| true` and a plain `echo` after them.
    """
    parts = simple_commands(command)
    places = [i for i, part in enumerate(parts) if _tool(part.words)]
    if len(places) != 1 or "`" in command or "$(" in command:
        return None
    at = places[0]
    before, after = parts[:at], parts[at + 1 :]
    masked = bool(after) or parts[at].joint == "|"
    if parts[at].joint == "|" or any(not _quiet(p, masked) for p in before):
        return None
    if any(not _harmless_after(p) for p in after) or any(p.reads for p in parts):
        return None
    if any(not is_scratch(name) for name in parts[at].writes):
        return None
    found = _tool(parts[at].words)
    return _selected(*found, masked=masked) if found else None


def captured_run(number: int, step: Step) -> TestRun | None:
    """Return step `number` as a test run; None where it is none or where nothing of it was captured."""
    picked = selection(step.action) if step.returncode is not None else None
    if picked is None or step.returncode is None:
        return None
    passed, failed = counts(picked.tool, step.observation)
    says = passed is not None
    if not says and (picked.masked or (step.returncode == 0 and picked.tool == "python")):
        return None
    return TestRun(number, step.action, step.returncode, passed, failed)


HARNESS_RUNS = "harness_runs"
"""The signal of a rollout that says how many of its last steps are test runs of the harness itself."""


def harness_run(number: int, step: Step) -> TestRun:
    """Return step `number`, in which the harness itself ran the tests: its return code counts in any case.

    A Python runner that succeeds without a word on how many tests passed was cut short from within, and
    counts as none passed; so does the tested program's own `exit(0)`.
    """
    picked = selection(step.action)
    passed, failed = counts(picked.tool, step.observation) if picked else (None, None)
    silenced = re.search(r"\s-qq|\s-q\b.*\s-q\b", step.action)
    if picked and picked.tool == "python" and step.returncode == 0 and passed is None and not silenced:
        passed = 0
    return TestRun(number, step.action, step.returncode or 0, passed, failed)


def runs_of(rollout: Rollout, steps: Sequence[tuple[int, Step]]) -> list[TestRun]:
    """Return the captured test runs among numbered steps, of which the last is the trajectory's last.

    Where the harness itself ran the tests after the agent had ended, these runs alone: what the agent ran
    before says nothing more.
    """
    n = int(rollout.signals.get(HARNESS_RUNS, 0))
    if n > 0:
        return [harness_run(i, step) for i, step in steps[-n:]]
    return [run for i, step in steps if (run := captured_run(i, step))]


def passing(run: TestRun) -> bool:
    """Return whether every test of the run passed, and there was one."""
    return run.returncode == 0 and not run.failed and run.passed != 0


def same_tests(command: str) -> object:
    """Return what two command lines share that do the same: the tests they run, else the text."""
    picked = selection(command)
    return picked.same if picked else " ".join(command.split())


_QUIET = frozenset(["cd", "pushd", "export", "source", ".", "set", "mkdir", "pip", "pip3", "conda"])


def _quiet(part: Part, masked: bool) -> bool:
    """Whether a part before the tests cannot print what a test run prints."""
    if part.joint not in ("", "&&", ";"):
        return False
    return (bool(part.words) and part.words[0] in _QUIET) or (not masked and edits(part))


def _harmless_after(part: Part) -> bool:
    name, rest = (part.words[0], part.words[1:]) if part.words else ("", ())
    if part.writes:
        return False
    if part.joint == "|":
        return _only_passes_on(name, rest)
    if part.joint == "||":
        return name in ("true", ":")
    spoken = re.search(r"\d|pass|fail|\bok\b|\bran\b|test", " ".join(rest), re.IGNORECASE)
    return part.joint in (";", "&&") and name in ("echo", "true", ":") and not spoken


def _only_passes_on(name: str, rest: Sequence[str]) -> bool:
    if name in ("tail", "head"):
        return all(re.fullmatch(r"-\w*|\+?\d+|--lines=\d+", word) for word in rest)
    return (name == "cat" and not rest) or (name == "tee" and all(is_scratch(word) for word in rest))


_SCRIPTED = frozenset(["npm", "yarn", "pnpm"])
_NODE = frozenset(["jest", "vitest", "mocha"])


def _tool(words: Sequence[str]) -> tuple[str, Sequence[str]] | None:
    """Return the family of a test command and its arguments."""
    bare = unwrapped(words)
    name, rest = (posixpath.basename(bare[0]), bare[1:]) if bare else ("", ())
    if re.fullmatch(r"python(?:\d(?:\.\d+)?)?", name):
        return _python_tool([w for w in rest if w not in ("-u", "-B", "-q", "-O", "-I")])
    if name in ("pytest", "py.test", "tox", "nox", "runtests.py") or bare[:1] in (
        ("bin/test",),
        ("./bin/test",),
    ):
        return "python", rest
    if name == "npx" and rest and rest[0] in _NODE:
        return "node", rest[1:]
    if name in _SCRIPTED and (rest[:1] in (("test",), ("t",)) or rest[:2] == ("run", "test")):
        return "node", [w for w in rest if w not in ("run", "test", "t", "--")]
    if name in _NODE:
        return "node", rest
    if name in ("go", "cargo") and rest[:1] == ("test",):
        return name, rest[1:]
    if name == "make" and rest[:1] in (("test",), ("check",), ("tests",)):
        return "make", rest[1:]
    return None


def _python_tool(rest: Sequence[str]) -> tuple[str, Sequence[str]] | None:
    if rest[:1] == ["-m"] and rest[1:2] and rest[1] in ("pytest", "unittest", "tests", "tox", "nox", "nose2"):
        return "python", rest[2:]
    if rest[:4] in (["-m", "coverage", "run", "-m"],):
        return _python_tool(rest[3:])
    script = posixpath.basename(rest[0]) if rest else ""
    if script == "runtests.py":
        return "python", rest[1:]
    return ("python", rest[2:]) if script == "manage.py" and rest[1:2] == ["test"] else None


_NO_RUN = frozenset(
    (
        "--version",
        "--help",
        "-h",
        "--collect-only",
        "--co",
        "--fixtures",
        "--list",
        "--listTests",
        "-list",
        "--no-run",
        "--setup-plan",
    )
)
_FILTERS = frozenset(
    (
        "-k",
        "-m",
        "--deselect",
        "--ignore",
        "-run",
        "-t",
        "--testNamePattern",
        "-p",
        "--pattern",
        "-e",
    )
)
_BARE_FILTERS = frozenset(
    (
        "-k",
        "-m",
        "--deselect",
        "--ignore",
        "-run",
        "-t",
        "--testNamePattern",
        "-p",
        "--pattern",
        "-e",
    )
)
_VALUED = frozenset(
    (
        "-n",
        "-c",
        "-o",
        "-W",
        "--tb",
        "--maxfail",
        "--durations",
        "--rootdir",
        "-r",
        "--settings",
        "-s",
        "-j",
        "--cov",
    )
)


def _selected(tool: str, arguments: Sequence[str], *, masked: bool) -> Selection | None:
    """Read a test command's arguments; None where they ask for no run."""
    if _NO_RUN & set(arguments):
        return None
    targets: list[str] = []
    filters: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        option = word.partition("=")[0]
        if word == "-p" and rest[:1] and rest[0].startswith("no:"):
            del rest[:1]
        elif option in _FILTERS:
            filters.append(f"{option} {word.partition('=')[2] or (rest.pop(0) if rest else '')}")
        elif option in _BARE_FILTERS:
            filters.append(option)
        elif word in _VALUED and not (word == "-s" and tool == "python"):
            del rest[:1]
        elif not word.startswith("-") and word != "discover":
            targets.append(_place(word))
    return Selection(tool, tuple(targets), tuple(filters), masked)


def _place(name: str) -> str:
    """Return a test's file or id in one spelling: no `./`, no `.py`, slashes for a module's dots."""
    path, colons, test = name.removeprefix("./").rstrip("/").partition("::")
    if path.endswith(".py"):
        path = path.removesuffix(".py")
    elif "/" not in path and path.strip("."):
        path = path.replace(".", "/")
    return path + colons + test
