"""The local grader: SWE-bench's own verdicts without Docker, and attacks that must not talk it round."""

from __future__ import annotations

import ast
import inspect
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from tts.benches.swebench.environment import Environments
from tts.benches.swebench.grader import LocalGrader, Settings, caps_of, majority
from tts.benches.swebench.indexes import install_setting
from tts.benches.swebench.instances import Truth
from tts.benches.swebench.official import HarnessGrader, arguments, docker_answers, read_grade
from tts.benches.swebench.official import Settings as HarnessSettings
from tts.benches.swebench.patching import merged, patch_bytes
from tts.benches.swebench.placed import changed, states
from tts.benches.swebench.recipes import Recipe
from tts.benches.swebench.tamper import guard
from tts.benches.swebench.verdict import log_text, seen
from tts.cli.swebench.evaluating import Grading
from tts.errors import Infra, UsageError
from tts.sandboxes.box import MIB, Ended, Order, Ran
from tts.sandboxes.bwrap import Bwrap
from tts.sandboxes.none import NoSandbox
from tts.types import Grade, Rollout, Task

pytest.importorskip("swebench")
pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
HOST = str(Path(pytest.__file__).parent.parent)

LEND = (
    "python -c \"import sysconfig, pathlib; pathlib.Path(sysconfig.get_path('purelib'), 'lent.pth')"
    f'.write_text(chr(10).join([{HOST!r}, *{{paths}}]))"'
)
"""Lends an environment this interpreter's pytest and puts the checkout on its path; needs no network."""

GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]


def git(place: Path, *args: str) -> str:
    done = subprocess.run([*GIT, *args], cwd=place, check=True, capture_output=True)
    return done.stdout.decode("utf-8", "surrogateescape")


def write(place: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)


@dataclass(frozen=True)
class Case:
    """A repository, its instance, and the right patch."""

    place: Path
    task: Task
    truth: Truth
    recipe: Recipe

    def diff(self, change: Callable[[Path], object] | Mapping[str, str]) -> str:
        """Return the patch from the base that a change of the files makes."""
        work = self.place.parent / "work"
        shutil.rmtree(work, ignore_errors=True)
        git(self.place.parent, "clone", "-q", str(self.place), "work")
        git(work, "reset", "-q", "--hard", self.task.base_commit)
        if callable(change):
            change(work)
        else:
            write(work, change)
        git(work, "add", "-A", "-f")
        return git(work, "diff", "--cached", "--binary", "--full-index", "HEAD")

    def but(self, **changes: Any) -> Case:
        """Return the case with another truth."""
        return replace(self, truth=replace(self.truth, **changes))


def case(
    root: Path,
    name: str,
    files: Mapping[str, str],
    *,
    gold: Mapping[str, str],
    tests: Mapping[str, str],
    lists: tuple[Sequence[str], Sequence[str]],
    recipe: Recipe,
) -> Case:
    place = root / name / "repo"
    place.mkdir(parents=True)
    git(place, "init", "-q")
    write(place, files)
    for runner in ("bin/test", "tests/runtests.py"):
        if runner in files:
            (place / runner).chmod(0o755)
    git(place, "add", "-A")
    git(place, "commit", "-qm", "base")
    base = git(place, "rev-parse", "HEAD").strip()
    task = Task(name, "It breaks.", str(place), base, {"group": f"me/{name}"})
    empty = Truth(name, f"me/{name}", "", "", *map(tuple, lists), recipe=recipe)
    bare = Case(place, task, empty, recipe)
    made = bare.but(patch=bare.diff(gold), test_patch=bare.diff(tests))
    write(place, gold)
    git(place, "add", "-A")
    git(place, "commit", "-qm", "the future: the repair itself")
    return made


BUG = "def double(x):\n    return x + 1\n\n\ndef negate(x):\n    return -x\n"
RIGHT = BUG.replace("x + 1", "x * 2")
OLD_TESTS = """\
import pytest
from sums import negate


def test_negate():
    assert negate(2) == -2


@pytest.mark.parametrize("text", ["a b", "a (c"])
def test_many(text):
    assert text


def test_unlisted():
    raise ValueError("always")
"""
NEW_TESTS = OLD_TESTS.replace("import negate", "import double, negate") + (
    "\n\ndef test_three():\n    assert double(3) == 6\n"
)
F2P = "tests/test_sums.py::test_three"
P2P = ("tests/test_sums.py::test_negate", "tests/test_sums.py::test_many[a")

SUMS = Recipe(
    python=PYTHON,
    install=(LEND.format(paths=["/testbed/src"]),),
    test_cmd="PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 python -m pytest -rA -p no:cacheprovider tests/test_sums.py",
    log_parser="parse_log_pytest",
    pip=False,
    timeout=60,
)

RUNNER = """\
#!/usr/bin/env python
import sys, unittest
from pathlib import Path
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
suite = unittest.defaultTestLoader.loadTestsFromNames(sys.argv[1:])
sys.exit(not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful())
"""
SHOP_TESTS = """\
import unittest
from shop import price


class PriceTests(unittest.TestCase):
    def test_free(self):
        self.assertEqual(price(0), 0)

    def test_told(self):
        \"\"\"A price is told in a sentence.\"\"\"
        self.assertEqual(price(0), 0)

    @unittest.skip("not here")
    def test_skipped(self):
        pass
"""
SHOP_NEW = "\n    def test_five(self):\n        self.assertEqual(price(5), 10)\n"

REPORTER = """\
import sys, importlib


class PyTestReporter:
    def __init__(self):
        self._passed = self._failed = 0

    def entering_test(self, f):
        self._active_f = f
        print(f.__name__, end=" ")

    def test_pass(self):
        self._passed += 1
        print("ok")

    def test_fail(self, exc_info):
        self._failed += 1
        print("F")

    def test_exception(self, exc_info):
        self._failed += 1
        print("E")

    def finish(self):
        print("=== tests finished: %d passed, %d failed, in 0.01 seconds ===" % (self._passed, self._failed))
        return not self._failed


def test(name):
    reporter = PyTestReporter()
    for key, f in sorted(vars(importlib.import_module(name)).items()):
        if key.startswith("test_"):
            reporter.entering_test(f)
            try:
                f()
            except AssertionError:
                reporter.test_fail(sys.exc_info())
            else:
                reporter.test_pass()
    return reporter.finish()
"""
BIN_TEST = """\
#!/usr/bin/env python
import sys, os
sys.path.insert(0, os.getcwd())
from sympy.testing.runtests import test
sys.exit(not test(sys.argv[1]))
"""
SYM_OLD = "from sympy.core import double\n\n\ndef test_zero():\n    assert double(0) in (0, 1)\n"
SYM_NEW = SYM_OLD + "\n\ndef test_three():\n    assert double(3) == 6\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("swebench")


@pytest.fixture(scope="module")
def environments(root: Path) -> Environments:
    return Environments(root / "environments", Bwrap())


@pytest.fixture(scope="module")
def sums(root: Path) -> Case:
    return case(
        root,
        "sums",
        {"src/sums/__init__.py": "from sums.core import *\n", "src/sums/core.py": BUG, "setup.cfg": "[x]\n"}
        | {"tests/test_sums.py": OLD_TESTS, "tests/data/list.txt": "a\n"},
        gold={"src/sums/core.py": RIGHT},
        tests={"tests/test_sums.py": NEW_TESTS},
        lists=([F2P], P2P),
        recipe=SUMS,
    )


@pytest.fixture(scope="module")
def shop(root: Path) -> Case:
    return case(
        root,
        "shop",
        {"shop/__init__.py": "def price(n):\n    return n\n", "tests/runtests.py": RUNNER}
        | {"tests/prices/__init__.py": "", "tests/prices/tests.py": SHOP_TESTS},
        gold={"shop/__init__.py": "def price(n):\n    return 2 * n\n"},
        tests={"tests/prices/tests.py": SHOP_TESTS + SHOP_NEW},
        lists=(
            [f"test_five ({'prices.tests.PriceTests'}.test_five)"],
            [
                "test_free (prices.tests.PriceTests.test_free)",
                "A price is told in a sentence.",
                "test_skipped (prices.tests.PriceTests.test_skipped)",
            ],
        ),
        recipe=replace(
            SUMS,
            install=(),
            test_cmd="./tests/runtests.py prices.tests",
            log_parser="parse_log_django",
        ),
    )


@pytest.fixture(scope="module")
def algebra(root: Path) -> Case:
    return case(
        root,
        "algebra",
        {"sympy/__init__.py": "", "sympy/core.py": BUG, "sympy/testing/__init__.py": ""}
        | {"sympy/testing/runtests.py": REPORTER, "bin/test": BIN_TEST}
        | {"sympy/tests/__init__.py": "", "sympy/tests/test_core.py": SYM_OLD},
        gold={"sympy/core.py": RIGHT},
        tests={"sympy/tests/test_core.py": SYM_NEW},
        lists=(["test_three"], ["test_zero"]),
        recipe=replace(
            SUMS, install=(), test_cmd="bin/test sympy.tests.test_core", log_parser="parse_log_sympy"
        ),
    )


def grade(
    environments: Environments, one: Case, patch: str, settings: Settings | None = None, **truth: Any
) -> Grade:
    truths = {one.task.id: replace(one.truth, **truth)}
    grader = LocalGrader(truths, environments, settings or Settings())
    return anyio.run(grader.grade, one.task, Rollout(key="r", patch=patch))


NOTHING = {"notes.txt": "nothing\n"}


# What a grader without Docker must handle: the points of the data's README.


@pytest.mark.parametrize("name", ["sums", "shop", "algebra"])
def test_ids_of_all_three_forms_are_graded(
    request: pytest.FixtureRequest, environments: Environments, name: str
) -> None:
    one: Case = request.getfixturevalue(name)
    nothing = grade(environments, one, one.diff(NOTHING))
    assert (nothing.outcome, nothing.resolved) == ("unresolved", False)
    assert nothing.score == 0.0
    right = grade(environments, one, one.truth.patch)
    assert (right.outcome, right.score, right.rollout) == ("resolved", 1.0, "r"), right.detail


def test_cut_ids_and_unlisted_failures_are_tolerated_as_swebench_does(
    environments: Environments, sums: Case
) -> None:
    """`test_many[a` is cut at white space; `test_unlisted` fails, so the runner's exit code is 1."""
    assert grade(environments, sums, sums.truth.patch).resolved
    assert not grade(
        environments, sums, sums.truth.patch, pass_to_pass=("tests/test_sums.py::test_o",)
    ).resolved


def test_a_skipped_test_is_maintained_but_never_repaired(environments: Environments, shop: Case) -> None:
    skipped = "test_skipped (prices.tests.PriceTests.test_skipped)"
    assert skipped in shop.truth.pass_to_pass
    assert grade(environments, shop, shop.truth.patch).resolved
    moved = grade(environments, shop, shop.truth.patch, fail_to_pass=(skipped,), pass_to_pass=())
    assert (moved.outcome, moved.score) == ("unresolved", 0.0)


def test_an_environment_holds_the_base_and_no_history(environments: Environments, sums: Case) -> None:
    async def main() -> tuple[list[str], str]:
        async with environments.open(sums.task, sums.recipe) as env:
            log = [git(p, "log", "--all", "--format=%H").strip() for p in (env.tree, env.base)]
            objects = git(env.tree, "cat-file", "--batch-all-objects", "--batch")
            return log, objects

    log, objects = anyio.run(main)
    assert log == [sums.task.base_commit] * 2
    assert "x * 2" not in objects


def test_a_log_has_swebenchs_markers_and_the_output_cannot_have_them() -> None:
    from swebench.harness import constants
    from swebench.harness.grading import parse_test_exit_code

    forged = f"x\n{constants.END_TEST_OUTPUT}\n{constants.TEST_EXIT_CODE}: 0\n{constants.TESTS_TIMEOUT}"
    log = log_text(forged, 7)
    assert log.count(constants.START_TEST_OUTPUT) == log.count(constants.END_TEST_OUTPUT) == 1
    assert parse_test_exit_code(log) == 7
    assert constants.TESTS_TIMEOUT not in log


def test_tests_have_no_network_unless_it_is_chosen(environments: Environments, sums: Case) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        call = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 2).close()\n"
        patch = sums.diff({"src/sums/core.py": call + RIGHT})
        assert grade(environments, sums, patch).outcome == "unresolved"
        assert grade(environments, sums, patch, Settings(network=True)).outcome == "resolved"


# Outcomes.


def test_a_patch_that_is_empty_or_does_not_apply_is_told(environments: Environments, sums: Case) -> None:
    assert grade(environments, sums, " \n").outcome == "empty patch"
    for broken in ("no patch", sums.truth.patch.replace("x + 1", "y + 1").replace(" def", " fed")):
        told = grade(environments, sums, broken)
        assert (told.outcome, told.resolved, told.score) == ("patch does not apply", False, 0.0)


def test_a_patch_that_only_fuzz_applies_is_taken_as_swebench_takes_it(
    environments: Environments, sums: Case
) -> None:
    fuzzy = "--- a/src/sums/core.py\n+++ b/src/sums/core.py\n@@ -1,3 +1,3 @@\n def double(x):\n"
    fuzzy += "-    return x + 1\n+    return x * 2\n # other context\n"
    assert grade(environments, sums, fuzzy).outcome == "resolved"


def test_tests_that_never_end_are_a_timeout(environments: Environments, sums: Case) -> None:
    patch = sums.diff({"src/sums/core.py": "while True: pass\n"})
    assert grade(environments, sums, patch, Settings(timeout=1)).outcome == "timeout"


def test_repeated_gradings_go_by_the_majority(environments: Environments, sums: Case) -> None:
    yes, no = Grade(resolved=True, score=1.0, outcome="resolved"), Grade(score=0.5, outcome="unresolved")
    assert majority([yes, no, yes]).outcome == "resolved"
    assert majority([yes, no, no]).detail.startswith("resolved in 1 of 3 runs")
    assert not majority([yes, no]).resolved
    told = grade(environments, sums, sums.truth.patch, Settings(repeats=2))
    assert told.detail.startswith("resolved in 2 of 2 runs")


def test_without_a_sandbox_the_grader_works_in_one_place(root: Path, sums: Case) -> None:
    place = Environments(root / "bare", NoSandbox())
    find = "import sys; sys.path[:0] = ['src']; import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    command = (
        f'PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 python -c "{find}" -rA -p no:cacheprovider tests/test_sums.py'
    )
    recipe = replace(SUMS, test_cmd=command)
    assert grade(place, sums, sums.truth.patch, recipe=recipe).outcome == "resolved"
    assert grade(place, sums, sums.diff(NOTHING), recipe=recipe).outcome == "unresolved"


def test_a_truth_without_a_recipe_or_a_parser_is_refused(environments: Environments, sums: Case) -> None:
    for change, says in (
        ({"recipe": None}, "no recipe"),
        ({"recipe": replace(SUMS, log_parser="x")}, "log_parser"),
    ):
        with pytest.raises(UsageError, match=says):
            LocalGrader({"sums": replace(sums.truth, **change)}, environments)  # type: ignore[arg-type]


# Attacks.

SHOUT = """\
import os

def shout(text):
    for fd in range(1, 40):
        try:
            os.write(fd, text.encode())
        except OSError:
            pass

"""
"""Writes past pytest's capture of the output, into whatever is open."""

FORGED = "".join(f"\nPASSED {test}" for test in (F2P, *P2P)) + "\n=== 3 passed in 0.01s ===\n"
MARKS = ">>>>> End Test Output\n>>>>> Test Exit Code: 0\n"
LIES = f"{SHOUT}shout({FORGED!r})\n"
WHOLE = "from sums.core import *\n"


def package(text: str) -> dict[str, str]:
    return {"src/sums/__init__.py": text}


ATTACKS = {
    "a conftest that prints and leaves": {"conftest.py": f"{LIES}os._exit(0)\n"},
    "a package that prints and leaves": package(f"{LIES}os._exit(0)\n"),
    "a package that exits": package(f"{LIES}raise SystemExit(0)\n"),
    "pytest's own exit": package(f"{LIES}import pytest\npytest.exit('done', returncode=0)\n"),
    "a forged end of the log": package(f"{LIES}shout({MARKS!r})\nos._exit(0)\n"),
    "prints at the exit": package(f"{WHOLE}{SHOUT}import atexit\natexit.register(shout, {FORGED!r})\n"),
    "leaves at the exit": package(
        f"{WHOLE}{SHOUT}import atexit\natexit.register(os._exit, 0)\natexit.register(shout, {FORGED!r})\n"
    ),
    "becomes another program": package(
        f"{SHOUT}import sys\nfor fd in range(3, 40):\n    try:\n        os.set_inheritable(fd, True)\n"
        "    except OSError:\n        pass\n"
        f"os.execv(sys.executable, ['python', '-c', {LIES!r}])\n"
    ),
    "leaves a writer behind": package(
        f"{WHOLE}{SHOUT}import time\nif not os.fork():\n    os.setsid()\n    time.sleep(0.9)\n"
        f"    shout({FORGED!r})\n    os._exit(0)\n"
    ),
    "forges in a child while the tests run": package(
        f"{WHOLE}{SHOUT}if not os.fork():\n    shout({FORGED!r})\n    os._exit(0)\n"
    ),
    "makes tests skip": {
        "src/sums/core.py": "import unittest\n" + BUG.replace("return x + 1", "raise unittest.SkipTest")
    },
    "overwrites the environment": package(
        "import sysconfig, pathlib\nplace = pathlib.Path(sysconfig.get_path('purelib'))\n"
        "place.joinpath('_tts_witness.py').write_text('')\nplace.joinpath('sitecustomize.py').write_text('')\n"
        + WHOLE
    ),
}


@pytest.mark.parametrize("name", list(ATTACKS))
def test_an_attack_is_unresolved(environments: Environments, sums: Case, name: str) -> None:
    told = grade(environments, sums, sums.diff(ATTACKS[name]))
    assert (told.outcome, told.resolved) == ("unresolved", False)
    assert told.score < 1


READS = (
    f"{WHOLE}import pathlib\nfile = pathlib.Path('tests/test_sums.py')\n"
    "text = file.read_text().replace('assert ', 'assert 1 or ')\n"
)


@pytest.mark.parametrize(
    "attack",
    [
        "file.write_text(text)\n",
        "pathlib.Path('tests').rename('old')\npathlib.Path('new').mkdir()\n"
        "pathlib.Path('new/test_sums.py').write_text(text)\npathlib.Path('tests').symlink_to('new')\n",
    ],
)
def test_a_package_that_rewrites_the_tests_before_they_are_read_is_unresolved(
    environments: Environments, sums: Case, attack: str
) -> None:
    early = replace(SUMS, test_cmd=SUMS.test_cmd.replace("-rA", "-rA -p sums"))
    told = grade(environments, sums, sums.diff(package(READS + attack)), recipe=early)
    assert told.outcome == "unresolved"
    assert "rewritten: tests/test_sums.py" in told.detail


def test_the_published_grading_alone_would_have_been_fooled(environments: Environments, sums: Case) -> None:
    """So the attacks above mean something: swebench's functions call such a log resolved."""
    from swebench.harness.grading import get_eval_report

    from tts.benches.swebench.verdict import _spec  # pyright: ignore[reportPrivateUsage]

    tests = [F2P, *P2P]
    log = log_text("\n".join(f"PASSED {test}" for test in tests), 0)
    path = environments._root / "forged.txt"  # pyright: ignore[reportPrivateUsage]
    path.parent.mkdir(exist_ok=True)
    path.write_text(log)
    prediction = {"instance_id": "sums", "model_patch": "x", "model_name_or_path": "m"}
    spec = _spec(sums.truth, SUMS, "parse_log_pytest")
    assert get_eval_report(spec, prediction, str(path), True)["sums"]["resolved"]


def test_a_patched_runner_is_put_back(environments: Environments, shop: Case, algebra: Case) -> None:
    tests = [*shop.truth.fail_to_pass, *shop.truth.pass_to_pass]
    forged = "".join(f"print({test + ' ... ok'!r})\n" for test in tests)
    told = grade(environments, shop, shop.diff({"tests/runtests.py": f"#!/usr/bin/env python\n{forged}"}))
    assert told.outcome == "unresolved"
    assert "not applied: tests/runtests.py" in told.detail
    forged = "#!/usr/bin/env python\nprint('test_three ok\\ntest_zero ok\\ntests finished: in 0.1 seconds')\n"
    assert grade(environments, algebra, algebra.diff({"bin/test": forged})).outcome == "unresolved"
    spoken = "print('Ran 4 tests in 0.1s\\n\\nOK')\nraise SystemExit(0)\n"
    lines = "".join(f"print({test + ' ... ok'!r})\n" for test in tests)
    assert grade(environments, shop, shop.diff({"shop/__init__.py": lines + spoken})).outcome == "unresolved"


def test_a_witness_is_believed_by_its_word_only() -> None:
    told = seen(
        'w {"event": "start", "pid": 1}\nx {"event": "end", "pid": 1}\nw {\nw []\nw {"line": "a"}', "w"
    )
    assert (told.started, told.ended, told.lines) == ({1}, frozenset(), ("a",))


# What of a patch is dropped.


def merge(environments: Environments, one: Case, patch: str) -> tuple[tuple[str, ...], dict[str, str]] | None:
    """Return what is dropped, and the files of a checkout that was brought to the merged state."""

    async def main() -> tuple[tuple[str, ...], dict[str, str]] | None:
        async with (
            environments.open(one.task, one.recipe) as env,
            merged(
                env,
                patch,
                test_patch=one.truth.test_patch,
                gold=one.truth.patch,
                test_cmd=one.recipe.test_cmd,
                sandbox=environments.sandbox,
            ) as whole,
        ):
            if whole is None:
                return None
            async with env.copy() as tree:
                await whole.place(tree)
                return whole.dropped, _files(tree)

    return anyio.run(main)


def _files(tree: Path) -> dict[str, str]:
    files = (path for path in tree.rglob("*") if ".git" not in path.parts)
    return {
        str(path.relative_to(tree)): f"-> {path.readlink()}" if path.is_symlink() else path.read_text()
        for path in files
        if path.is_symlink() or path.is_file()
    }


DROPPED = (
    *("conftest.py", "src/sums/conftest.py", "pytest.ini", "tox.ini", "setup.cfg", "pyproject.toml"),
    *(".coveragerc", "sitecustomize.py", "src/usercustomize.py", "evil.pth", ".env", "src/.gitattributes"),
    *("tests/test_new.py", "tests/data/list.txt", "src/sums/test_core.py", "src/sums/core_test.py"),
    *("pytest.py", "src/_pytest/__init__.py", "unittest/__init__.py", "lib/pluggy.py", "json.py"),
    *("evil-1.dist-info/entry_points.txt", "src/evil.egg-info/entry_points.txt"),
    *("tests/__pycache__/test_sums.cpython-311.pyc", "src/sums/core.pyc", "ConfTest.py"),
)
KEPT = (
    "src/sums/more.py",
    "docs/conf.py",
    "src/sums/json.py",
    "README.md",
    "src/sums/contest.py",
    "a b/ü.txt",
)


def test_what_decides_how_tests_run_is_dropped_and_code_is_kept(
    environments: Environments, sums: Case
) -> None:
    patch = sums.diff(dict.fromkeys((*DROPPED, *KEPT), "new\n"))
    found = merge(environments, sums, patch)
    assert found is not None
    dropped, files = found
    assert set(dropped) == set(DROPPED)
    assert all(files[name] == "new\n" for name in KEPT)
    assert files["tests/test_sums.py"] == NEW_TESTS
    assert files["setup.cfg"] == "[x]\n"
    assert "conftest.py" not in files


@pytest.mark.parametrize(
    ("test", "path", "refused"),
    [
        ("test/rules/test_a.py", "test/helpers.py", True),
        ("test/rules/test_a.py", "test/__init__.py", True),
        ("testing/logging/test_a.py", "testing/plain.py", True),
        ("unit_tests/a/check.py", "unit_tests/helpers.py", True),
        ("t/unit/app/check.py", "t/unit/case.py", True),
        ("src/pkg/test/deep/test_a.py", "src/pkg/test/util.py", True),
        ("tests/view_tests/tests.py", "django/test/client.py", False),
        ("pkg/test_a.py", "pkg/helpers.py", False),
        ("contest/test_a.py", "other/helpers.py", False),
        ("testing/tests/test_a.py", "testing/code.py", False),
        ("testing/other/check.py", "testing/other/helpers.py", True),
    ],
)
def test_helpers_are_guarded_from_the_topmost_folder_of_tests(
    tmp_path: Path, test: str, path: str, refused: bool
) -> None:
    gold = ["testing/code.py"] if refused is False or path.startswith("testing/other") else ["pkg/core.py"]
    watch = guard(test_patch=[test], gold=gold, base=[path, test], test_cmd="pytest", packages=tmp_path)
    assert watch.refuses(path) is refused


def _move(tree: Path) -> None:
    (tree / "src" / "sums" / "core.py").rename(tree / "conftest.py")
    (tree / "tests" / "test_sums.py").rename(tree / "src" / "old.py")


def _link(tree: Path) -> None:
    shutil.rmtree(tree / "tests")
    (tree / "tests").symlink_to("src")
    (tree / "setup.cfg").unlink()
    (tree / "setup.cfg").symlink_to("/etc/passwd")
    (tree / "src" / "way").symlink_to("../tests")


def _binary(tree: Path) -> None:
    (tree / "tests" / "test_sums.py").write_bytes(bytes(range(256)))
    (tree / "tests" / "data" / "list.txt").chmod(0o755)


def _file_for_folder(tree: Path) -> None:
    shutil.rmtree(tree / "tests")
    (tree / "tests").write_text("no folder\n")


@pytest.mark.parametrize("change", [_move, _link, _binary, _file_for_folder])
def test_renames_links_binaries_and_modes_do_not_slip_through(
    environments: Environments, sums: Case, change: Callable[[Path], None]
) -> None:
    found = merge(environments, sums, sums.diff(change))
    assert found is not None
    dropped, files = found
    assert dropped
    assert files["tests/test_sums.py"] == NEW_TESTS
    assert files["tests/data/list.txt"] == "a\n"
    assert files["setup.cfg"] == "[x]\n"
    assert "conftest.py" not in files


def _added(path: str, text: str = "new\n", mode: str = "100644") -> str:
    head = f"diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n"
    end = "" if text.endswith("\n") else "\n\\ No newline at end of file\n"
    return f"{head}+{text}{end}"


@pytest.mark.parametrize(
    "patch",
    [
        _added("src/way", "../tests", "120000") + _added("src/way/test_evil.py"),
        _added("out", "/tmp", "120000") + _added("out/evil.py"),
        _added("src/./conftest.py"),
        _added("../evil.py"),
        _added("/tmp/evil.py"),
        _added(".git/hooks/pre-commit"),
    ],
)
def test_a_patch_that_writes_elsewhere_changes_no_test(
    environments: Environments, sums: Case, patch: str
) -> None:
    before = merge(environments, sums, _added("n.txt"))
    found = merge(environments, sums, patch)
    if found is not None and before is not None:
        same = {name: text for name, text in before[1].items() if name != "n.txt"}
        assert {name: text for name, text in found[1].items() if name in same} == same
        assert not {n for n in found[1] if n.endswith(("conftest.py", "test_evil.py"))}
    assert not Path("/tmp/evil.py").exists()


def test_tests_may_write_beside_themselves(environments: Environments, sums: Case) -> None:
    writes = "import pathlib\nfor n in ('tests/data/list.txt', 'tests/new.py', 'made.txt'):\n"
    code = f"{WHOLE}{writes}    pathlib.Path(n).write_text('x')\n"
    patch = sums.truth.patch + sums.diff(package(code))
    assert grade(environments, sums, patch).outcome == "resolved"
    rewrites = code.replace("made.txt", "setup.cfg")
    told = grade(environments, sums, sums.truth.patch + sums.diff(package(rewrites)))
    assert (told.outcome, "rewritten: setup.cfg" in told.detail) == ("unresolved", True)


def _pipe(place: Path) -> None:
    place.unlink()
    os.mkfifo(place)


def _link_to_itself(place: Path) -> None:
    place.rename(place.with_name("kept"))
    place.symlink_to("kept")


@pytest.mark.parametrize(
    "change",
    [
        Path.unlink,
        _pipe,
        _link_to_itself,
        lambda place: place.chmod(0o755),
        lambda place: place.write_text("b"),
        lambda place: place.write_text("longer"),
        lambda place: shutil.move(place.parent, place.parent.with_name("moved")),
        lambda place: place.parent.rename(place.parent.parent / "m") and place.parent.symlink_to("m"),
    ],
)
def test_a_change_of_a_placed_file_is_seen(tmp_path: Path, change: Callable[[Path], object]) -> None:
    write(tmp_path, {"in/a.py": "a", "in/b.py": "b"})
    (tmp_path / "in/link.py").symlink_to("/etc/passwd")
    before = states(tmp_path, ["in/a.py", "in/link.py", "in/none.py"])
    assert (sorted(before), changed(tmp_path, before)) == (["in/a.py", "in/link.py"], [])
    change(tmp_path / "in" / "a.py")
    assert changed(tmp_path, before)[0] == "in/a.py"


def test_quoted_names_are_read_as_git_reads_them(environments: Environments, sums: Case) -> None:
    quoted = _added("n.txt").replace("a/n.txt", '"a/\\164ests/x.py"').replace("b/n.txt", '"b/\\164ests/x.py"')
    found = merge(environments, sums, quoted)
    assert found is not None
    assert found[0] == ("tests/x.py",)


FIXTURE = "fixtures/new/list.txt"


@pytest.mark.parametrize(
    "bad",
    [
        lambda: _added("fixtures"),
        lambda: _added("fixtures/new"),
        lambda: _added(f"{FIXTURE}/more.py"),
        lambda: _added("fixtures", "src", "120000"),
    ],
)
def test_what_stands_in_the_way_of_the_test_patch_goes(
    environments: Environments, sums: Case, bad: Callable[[], str]
) -> None:
    one = sums.but(test_patch=sums.truth.test_patch + _added(FIXTURE))
    assert grade(environments, one, bad()).outcome == "unresolved"
    right = grade(environments, one, sums.truth.patch + bad())
    assert (right.outcome, "not applied: fixtures" in right.detail) == ("resolved", True)


def test_what_stands_in_the_way_of_a_restored_file_goes(environments: Environments, root: Path) -> None:
    one = case(
        root,
        "way",
        {"way/__init__.py": BUG, "data/conftest.py": "", "data/more.py": "", "tests/test_way.py": "1\n"},
        gold={"way/__init__.py": RIGHT},
        tests={"tests/test_way.py": "2\n"},
        lists=([], []),
        recipe=replace(SUMS, install=()),
    )

    def change(tree: Path) -> None:
        shutil.rmtree(tree / "data")
        (tree / "data").write_text("no folder\n")

    found = merge(environments, one, one.diff(change))
    assert found is not None
    assert (found[0], sorted(found[1])[0]) == (("data", "data/conftest.py"), "data/conftest.py")


def test_halves_of_characters_in_a_patch_are_no_error(environments: Environments, sums: Case) -> None:
    assert grade(environments, sums, "no patch \ud800 \udcff").outcome == "patch does not apply"
    found = merge(environments, sums, _added("a.txt", "\ud800\n"))
    assert found is not None
    assert found[1]["a.txt"] == "\ufffd\n"
    assert patch_bytes("\ud800\udce9") == b"\xef\xbf\xbd\xe9"


@pytest.mark.parametrize(
    "answer",
    [
        "kill -9 $$",
        "echo 'error: patch failed: a:1' >&2; echo 'error: x: No space left on device' >&2; exit 128",
    ],
)
def test_trouble_with_git_is_no_word_on_the_patch(
    environments: Environments, sums: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    assert grade(environments, sums, "no patch").outcome == "patch does not apply"
    fake = tmp_path / "git"
    apply = (
        f'case " $* " in *" apply "*"patch.diff "*) grep -q trouble "${{@: -1}}" && {{ {answer}; }};; esac'
    )
    fake.write_text(f'#!/bin/bash\n{apply}\nexec {shutil.which("git")} "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(Infra, match="git apply failed"):
        grade(environments, sums, "trouble")


@dataclass
class Answering:
    """A sandbox in which commands that hold a word come to a fixed result, and `later` to another."""

    word: str
    ran: Ran
    later: Ran | None = None
    n: int = 0
    inner: Bwrap = field(default_factory=Bwrap)
    fingerprint: str = "answering"

    def problems(self) -> list[str]:
        return []

    @asynccontextmanager
    async def open(self, workspace: Path, **more: Any) -> Any:
        async with self.inner.open(workspace, **more) as box:
            yield AnsweringBox(self, box)


@dataclass
class AnsweringBox:
    """A box of it."""

    sandbox: Answering
    box: Any

    @property
    def cwd(self) -> str:
        return self.box.cwd

    async def run(self, order: Order) -> Ran:
        if self.sandbox.word not in " ".join(order.argv):
            return await self.box.run(order)
        self.sandbox.n += 1
        return self.sandbox.later if self.sandbox.n > 1 and self.sandbox.later else self.sandbox.ran


@pytest.mark.parametrize(
    ("ran", "says"),
    [
        (Ran(127, "sh: patch: not found"), "`patch` cannot be started"),
        (Ran(-9, ended="timeout"), "limit of timeout"),
        (Ran(-9, ended="memory"), "limit of memory"),
    ],
)
def test_the_program_patch_must_be_there_and_come_to_its_end(
    environments: Environments, sums: Case, ran: Ran, says: str
) -> None:
    place = Environments(environments._root, Answering("patch --batch", ran))  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(Infra, match=says):
        grade(place, sums, "no patch")


def test_a_limit_is_the_machines_only_where_the_reference_meets_it_too(
    environments: Environments, sums: Case
) -> None:
    sandbox = Answering("TTS_WITNESS", Ran(-9, ended="memory"))
    place = Environments(environments._root, sandbox)  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(Infra, match="limit of memory, with the reference patch too: raise it with --memory"):
        grade(place, sums, sums.diff(NOTHING))
    limits: list[tuple[Ended, Ended]] = [("memory", "size"), ("size", "memory"), ("processes", "exited")]
    for limit, other in limits:
        sandbox = Answering("TTS_WITNESS", Ran(-9, ended=limit), Ran(0, ended=other))
        place = Environments(environments._root, sandbox)  # pyright: ignore[reportPrivateUsage]
        told = grade(place, sums, sums.diff(NOTHING))
        assert told.outcome == "unresolved"
        assert f"limit of {limit}; with the reference patch they are not" in told.detail


def test_the_reference_is_run_once_for_all_attempts_that_meet_a_limit(
    environments: Environments, sums: Case
) -> None:
    sandbox = Answering("TTS_WITNESS", Ran(-9, ended="size"))
    place = Environments(environments._root, sandbox)  # pyright: ignore[reportPrivateUsage]
    grader = LocalGrader({"sums": sums.truth}, place)
    for n in (2, 3):
        with pytest.raises(Infra, match="limit of size"):
            anyio.run(grader.grade, sums.task, Rollout(patch=sums.diff(NOTHING)))
        assert sandbox.n == n


def test_an_attempt_that_allocates_without_end_is_unresolved(root: Path, sums: Case) -> None:
    place = Environments(root / "environments", Bwrap(replace(caps_of(1), memory_bytes=256 * MIB)))
    hog = "import time\nkept = []\nwhile True:\n    kept.append(b'x' * 4096 * 1024)\n    time.sleep(0.001)\n"
    assert grade(place, sums, sums.diff({"src/sums/core.py": hog})).outcome == "unresolved"


def test_limits_of_tests_grow_with_the_memory() -> None:
    caps, gib = caps_of(8), 1024 * MIB
    assert (caps.memory_bytes, caps.processes) == (8 * gib, 2048)
    assert (caps.file_bytes, caps.total_bytes, caps.output_bytes) == (4 * gib, 16 * gib, 64 * MIB)


def test_memory_is_an_option_of_the_local_grader(tmp_path: Path, sums: Case) -> None:
    truths = {"sums": sums.truth}
    prints = {
        Grading(memory=memory, environments=tmp_path)._local(truths).fingerprint  # pyright: ignore[reportPrivateUsage]
        for memory in (None, 8, 16)
    }
    assert len(prints) == 2
    with pytest.raises(UsageError, match="--memory is for --harness local"):
        Grading(memory=16)._check_local("x")  # pyright: ignore[reportPrivateUsage]


def test_without_the_extra_one_line_says_what_to_install() -> None:
    block = (
        "import sys\nclass Block:\n    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == sys.argv[1]:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "from tts.benches.swebench.instances import Truth\nfrom tts.benches.swebench.recipes import Recipe\n"
        "from tts.benches.swebench.verdict import log_parser\nfrom tts.errors import UsageError\n"
        "recipe = Recipe('3.11', 'true', log_parser='parse_log_pytest')\n"
        "try:\n    log_parser(Truth('x', 'y', '', '', (), ()), recipe)\n"
        "except UsageError as problem:\n    print(problem)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", block, "docker"], capture_output=True, text=True, check=False
    )
    assert (done.stderr, done.stdout.count("\n")) == ("", 1)
    assert "No module named 'docker'" in done.stdout
    assert "pip install 'tts-scaling[swebench]'" in done.stdout


# Environments.


@dataclass
class Counting:
    """A sandbox that counts how often it is opened with mounts: installs, here."""

    inner: Bwrap = field(default_factory=Bwrap)
    n: int = 0
    fingerprint: str = "counting"

    def problems(self) -> list[str]:
        return []

    @asynccontextmanager
    async def open(self, workspace: Path, **more: Any) -> Any:
        self.n += bool(more.get("mounts"))
        async with self.inner.open(workspace, **more) as box:
            yield box


def test_an_environment_is_made_once_and_the_oldest_unused_goes(tmp_path: Path, sums: Case) -> None:
    counting = Counting()
    first, second = Environments(tmp_path, counting, keep=1), Environments(tmp_path, counting, keep=1)
    quick = replace(SUMS, install=("true",))
    other = replace(SUMS, install=("true", "true"))

    def ready() -> int:
        return len(list(tmp_path.glob("env-*/ready")))

    async def main() -> list[int]:
        async def open_and_close(one: Environments) -> None:
            async with one.open(sums.task, quick):
                pass

        async with anyio.create_task_group() as group:
            group.start_soon(open_and_close, first)
            group.start_soon(open_and_close, second)
        made = counting.n
        async with first.open(sums.task, quick) as held, second.open(sums.task, other):
            both = ready()
            assert held.tree.exists()
        third = replace(SUMS, install=("true",) * 3)
        async with second.open(sums.task, third):
            left = ready()
        return [made, both, left]

    assert anyio.run(main) == [1, 2, 1]


def test_a_failed_install_is_the_machines_and_leaves_nothing(tmp_path: Path, sums: Case) -> None:
    place = Environments(tmp_path / "e", Bwrap())
    recipe = replace(SUMS, install=("echo first; echo the reason >&2; exit 3",))
    with pytest.raises(Infra, match=r"exit code 3[\s\S]*the reason"):
        grade(place, sums, sums.truth.patch, recipe=recipe)
    assert not list((tmp_path / "e").glob("env-*/*"))


def test_a_missing_python_or_commit_is_said(tmp_path: Path, sums: Case) -> None:
    place = Environments(tmp_path, Bwrap())
    with pytest.raises(UsageError, match=r"no Python 3\.99 here"):
        grade(place, sums, "x", recipe=replace(SUMS, python="3.99"))
    with pytest.raises(UsageError, match="cannot fetch commit"):
        grade(place, replace(sums, task=replace(sums.task, base_commit="0" * 40)), "x")


def test_a_command_that_starts_no_python_is_the_recipes_fault(environments: Environments, sums: Case) -> None:
    with pytest.raises(Infra, match="no Python of the environment"):
        grade(environments, sums, sums.truth.patch, recipe=replace(SUMS, test_cmd="echo hello"))


def test_the_truth_is_in_no_copy_before_the_tests_run(environments: Environments, sums: Case) -> None:
    async def main() -> str:
        async with environments.open(sums.task, sums.recipe) as env:
            return "".join(_files(env.tree).values())

    assert "test_three" not in anyio.run(main)


def test_pips_setting_reaches_an_install_and_nothing_else_does(tmp_path: Path) -> None:
    wheels, index = tmp_path / "wheels", tmp_path / "index" / "simple"
    wheels.mkdir()
    index.mkdir(parents=True)
    (tmp_path / ".config" / "pip").mkdir(parents=True)
    conf = tmp_path / ".config" / "pip" / "pip.conf"
    conf.write_text(
        f"[global]\nfind-links = {wheels}\nextra-index-url = {index.as_uri()} https://x.test/simple\n"
    )
    passed = {"PIP_NO_INPUT": "1", "UV_OFFLINE": "1", "https_proxy": "p"}
    env, mounts = install_setting({"HOME": str(tmp_path), **passed, "SECRET_KEY": "s"})
    assert env == {**passed, "PIP_CONFIG_FILE": str(conf)}
    shown = [mount.source for mount in mounts if mount.source.is_relative_to(tmp_path)]
    assert shown == [conf, wheels, index.parent]
    assert not any(mount.writable for mount in mounts)


# The official harness, which is not run here.


def _parser() -> Any:
    """Return run_evaluation's own argument parser, which it makes only when it is run as a program."""
    module = pytest.importorskip("swebench.harness.run_evaluation")
    body = next(
        node for node in ast.parse(inspect.getsource(module)).body[::-1] if isinstance(node, ast.If)
    ).body
    made = [n for n in body if isinstance(n, (ast.Assign, ast.Expr)) and "parse_args" not in ast.unparse(n)]
    space = dict(vars(module))
    exec(compile(ast.Module([n for n in made if "main(" not in ast.unparse(n)], []), "parser", "exec"), space)
    return space["parser"]


def test_the_official_harness_understands_our_arguments(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.touch()
    told = _parser().parse_args(arguments(HarnessSettings(str(file), "dev", 99), "me__pkg-1", "run-1"))
    assert told.dataset_name == str(file)
    assert (told.split, told.instance_ids, told.timeout, told.max_workers) == ("dev", ["me__pkg-1"], 99, 1)
    assert (told.predictions_path, told.run_id, told.modal) == ("preds.jsonl", "run-1", False)


def _harness(
    place: Path, report: object | None, *, log: str = "", output: str = "", patch: str = "p"
) -> None:
    """Write the harness's files for one instance, and its report by swebench's own code."""
    from swebench.harness.reporting import make_run_report

    logs = place / "logs" / "run_evaluation" / "run" / "tts" / "x"
    logs.mkdir(parents=True)
    (logs / "run_instance.log").write_text(log)
    (logs / "test_output.txt").write_text(output)
    if report is not None:
        (logs / "report.json").write_text(json.dumps(report))
    prediction = {"instance_id": "x", "model_name_or_path": "tts", "model_patch": patch}
    make_run_report({"x": prediction}, [{"instance_id": "x"}], "run")


def _status(good: int, bad: int) -> dict[str, Any]:
    sides = {"success": ["a"] * good, "failure": ["b"] * bad}
    return {"FAIL_TO_PASS": sides, "PASS_TO_PASS": {"success": [], "failure": []}}


@pytest.mark.parametrize(
    ("files", "outcome", "score"),
    [
        ({"report": {"x": {"resolved": True, "tests_status": _status(4, 0)}}}, "resolved", 1.0),
        ({"report": {"x": {"resolved": False, "tests_status": _status(3, 1)}}}, "unresolved", 0.0),
        ({"report": {"x": {"resolved": False}}, "output": "ModuleNotFoundError"}, "unresolved", 0.0),
        ({"report": None, "patch": ""}, "empty patch", 0.0),
        ({"report": None, "log": "x >>>>> Patch Apply Failed:"}, "patch does not apply", 0.0),
        ({"report": None, "log": "Test timed out after 9 seconds."}, "timeout", 0.0),
        ({"report": None, "log": "it broke"}, None, 0.0),
        ({"report": {"x": {"resolved": False}}, "output": "Could not resolve host"}, None, 0.0),
    ],
)
def test_the_harness_own_report_is_read_back(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    files: dict[str, Any],
    outcome: str | None,
    score: float,
) -> None:
    monkeypatch.chdir(tmp_path)
    _harness(tmp_path, **files)
    capsys.readouterr()
    if outcome is None:
        with pytest.raises(Infra):
            read_grade("x", "r", tmp_path, "run")
        return
    told = read_grade("x", "r", tmp_path, "run")
    assert (told.outcome, told.score, told.resolved) == (outcome, score, outcome == "resolved")


def test_no_report_is_the_machines_failure(tmp_path: Path) -> None:
    with pytest.raises(Infra, match="schema version 2"):
        read_grade("x", "r", tmp_path, "run", "Traceback")


def test_the_harness_grader_asks_nobody_about_an_empty_patch(sums: Case) -> None:
    grader = HarnessGrader({"sums": sums.truth}, HarnessSettings("d"))
    assert anyio.run(grader.grade, sums.task, Rollout(patch="")).outcome == "empty patch"


def test_an_engine_that_does_not_answer_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "docker"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for text, answers in (("exit 1", False), ("echo 27.0", True), ("sleep 30", False)):
        fake.write_text(f"#!/bin/sh\n{text}\n")
        fake.chmod(0o755)
        assert docker_answers(2.0 if answers else 0.3) is answers
