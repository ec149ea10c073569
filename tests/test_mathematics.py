import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.equivalence import classes, equivalence, mathematical
from tts.errors import UsageError
from tts.graders.expected import ExpectedAnswer
from tts.mathematics import Verifier, as_latex, bare, worker
from tts.mathematics.process import PROGRAM, Worker
from tts.types import Rollout, Task

installed = pytest.mark.skipif(find_spec("math_verify") is None, reason="math-verify is not installed")
TOWER = "10^{10^{10^{10}}}"

SCRIPTED = """
import os, sys
print("ready", flush=True)
for line in sys.stdin:
    if "hang" in line:
        sys.stdin.read()
    if "die" in line:
        os._exit(1)
    if "once" in line and not os.path.exists(sys.argv[1]):
        open(sys.argv[1], "w").close()
        os._exit(1)
    print("true" if "yes" in line else "false", flush=True)
"""


def scripted(seconds, code=SCRIPTED, *arguments):
    return Worker(seconds, [sys.executable, "-c", code, *map(str, arguments)])


# How an answer is written


@pytest.mark.parametrize(
    ("answer", "inner"),
    [
        ("$x$", "x"),
        (r"\(x\).", "x"),
        (r"\[ \boxed{\frac{1}{2}} \]", r"\frac{1}{2}"),
        (r"$\text{Paris}$", "Paris"),
        ("**7**", "7"),
        ("$$7$$", "7"),
        ("$5$ and $6$", "$5$ and $6$"),
        (r"\(5\) and \(6\)", r"\(5\) and \(6\)"),
        (r"\boxed{5} or \boxed{6}", r"\boxed{5} or \boxed{6}"),
        (" x ", "x"),
        ("", ""),
    ],
)
def test_what_is_around_an_answer_is_taken_off(answer, inner):
    assert bare(answer) == inner


@pytest.mark.parametrize(
    ("answer", "latex"),
    [
        ("2**3", "2^3"),
        ("1 1/2", r"(1+\frac{1}{2})"),
        ("12 345", "12345"),
        (r"12\,345", "12345"),
        ("6.6e-34", r"6.6\cdot 10^{-34}"),
        ("2pi", r"2\pi"),
        ("x\u00b2\u00b9", "x^{21}"),
        ("\u221a217872", r"\sqrt{217872}"),
        ("sqrt(2(3+1))", r"\sqrt{2(3+1)}"),
        ("x >= 3", r"x \ge 3"),
        ("$x=2$ or $x=3$", "x=2 or x=3"),
        ("3t", "3{t}"),
        ("3bc", "3b{c}"),
        ("3 m", "3 m"),
        ("10cm", "10cm"),
        ("x + c", "x + {c}"),
        ("x", "{x}"),
        ("Paris", None),
        ("no, thanks!", None),
        ("on", None),
        ("f'(x)", None),
        ("3 4", None),
        ("", None),
        ("$$", None),
        ("1+" * 600 + "1", None),
    ],
)
def test_plain_notation_is_rewritten(answer, latex):
    assert as_latex(answer) == latex


@pytest.mark.parametrize(
    ("latex", "prose"),
    [
        ("3 hours 36", True),
        ("Bob hit Ann", True),
        (r"\sin x + \text{some words}", False),
        (r"\begin{pmatrix} 1 \end{pmatrix}", False),
        ("xyz", False),
    ],
)
def test_prose_is_told_from_products(latex, prose):
    assert worker.is_prose(latex) is prose


@given(answer=st.text() | st.text("$\\(){}[] **.^_123xm'", max_size=30))
def test_any_text_can_be_written(answer):
    assert as_latex(answer) is None or as_latex(answer)


# What is the same


@installed
@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("1/2", r"\frac{1}{2}", True),
        (r"$\frac12$", "0.5", True),
        (r"\boxed{5}", "5.0", True),
        ("x=3", "3", True),
        ("x=1", "y=1", False),
        ("{1,2}", r"\{2,1\}", True),
        ("$x=2$ or $x=3$", r"\{2,3\}", True),
        ("x^2-1", "(x-1)(x+1)", True),
        ("y = 2x+3", "2x+3", True),
        ("1 < x < 2", "(1,2)", True),
        ("x>3", "3<x", True),
        ("[1,2]", "(1,2)", False),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\\frac{4}{2}\end{pmatrix}", True),
        ("9*sqrt(3)/4", r"\frac{9\sqrt3}{4}", True),
        ("sin(x)^2+cos(x)^2", "1", True),
        ("\u221e", r"\infty", True),
        ("210 minutes", "210", True),
        ("5 m", "5 cm", True),
        ("9%", "9", True),
        ("9%", "0.09", True),
        ("1/3", "0.333333", True),
        ("1/3", "0.333", False),
        (r"$\text{Paris}$", "paris", True),
        (r"\sqrt{2}^2-2", "0", True),
    ],
)
def test_math(a, b, same):
    assert mathematical(a, b) is same
    assert mathematical(b, a) is same


@installed
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("listen", "silent"),
        ("Alice beat Bob", "Bob beat Alice"),
        ("3 hours 36 minutes", "3"),
        ("3 million", "3"),
        ("3t", "3"),
        ("2**3", "2"),
        ("1 1/2", "1"),
        (r"0.\overline{3}", "0"),
        ("f'(x)", "f(x)"),
    ],
)
def test_what_math_verify_would_misread_is_not_the_same(a, b):
    assert not mathematical(a, b)
    assert not mathematical(b, a)


@installed
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("2x+z=1", "1"),
        ("x^2+y^2=4", "4"),
        ("(3,2,1)", "1,2,3"),
        ("(1,2)", "2,1"),
        ("10+5=15", "3+83=86"),
        (r"6.6\times 10^{-34}", r"1.6\times 10^{-19}"),
        ("0.0000001", "0.0000002"),
    ],
)
def test_what_math_verify_takes_for_the_same_one_way_only_or_wrongly(a, b):
    assert not mathematical(a, b)
    assert not mathematical(b, a)


@installed
@settings(max_examples=40, deadline=None)
@given(
    answers=st.lists(
        st.lists(st.sampled_from([*"123xy+-=,()<^", "\\frac", "{", "}", "%", "5", " "]), max_size=6).map(
            "".join
        ),
        min_size=2,
        max_size=2,
    )
)
def test_reflexive_and_symmetric(answers):
    a, b = answers
    assert mathematical(a, a)
    assert mathematical(a, b) == mathematical(b, a)


@installed
def test_by_its_name():
    assert classes(["1/2", None, r"\frac{2}{4}", "x", "three", "$0.5$"], "math") == [0, None, 0, 1, 2, 0]
    grader = ExpectedAnswer({"t": "x = 3"}, "math")
    grade = anyio.run(grader.grade, Task(id="t", prompt=""), Rollout(answer="$3$"))
    assert grade.resolved


def test_without_math_verify_the_name_says_what_to_install():
    code = (
        "import sys; sys.modules['math_verify'] = None\n"
        "from tts.equivalence import classes, equivalence\n"
        "from tts.errors import UsageError\n"
        "for ask in (equivalence, lambda name: classes([], name)):\n"
        "    try: ask('math')\n"
        "    except UsageError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("tts-scaling[math]") == 2


def test_numbers_and_equal_texts_are_not_asked_about():
    code = (
        "from tts.equivalence import mathematical as same\n"
        "import tts.mathematics as m\n"
        "print(same('a b', 'a b'), same('$1/2$', '0.5'))\n"
        "print(same('12', '13'), same('0.1', '0.2'), same('yes', 'no'))\n"
        "print(m._verifier._worker._process)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "False", "False", "False", "None"]


# The process


def test_a_question_that_does_not_end_has_no_answer_and_the_next_one_has():
    asked = scripted(1.0)
    assert asked.ask("hang", "") is None
    assert asked.ask("yes", "") is True
    assert asked.ask("no", "") is False
    asked.stop()
    assert asked.ask("yes", "") is True
    asked.stop()


def test_a_process_that_dies_is_started_again(tmp_path):
    asked = scripted(60.0, SCRIPTED, tmp_path / "died")
    assert asked.ask("die", "") is None
    assert asked.ask("once, then yes", "") is True
    asked.stop()


def test_a_process_that_does_not_start_says_why():
    with pytest.raises(UsageError, match="does not start: no module"):
        scripted(1.0, "print('no module')").ask("a", "b")
    with pytest.raises(UsageError, match="does not start: it did not answer"):
        scripted(1.0, "").ask("a", "b")


def test_an_answer_that_hangs_by_itself_is_asked_about_once():
    asked = scripted(1.0)
    same = Verifier(asked)
    assert not same("hang", "yes")
    asked.stop()
    # No process would start for these.
    same._worker = scripted(1.0, "")
    assert not same("hang", "other")
    assert not same("yes", "hang")
    assert same("hang", "hang")
    with pytest.raises(UsageError):
        same("yes", "other")


def test_results_are_kept_for_the_pair():
    asked = scripted(60.0)
    same = Verifier(asked)
    assert same("yes", "a")
    asked.stop()
    same._worker = scripted(60.0, "")
    assert same("a", "yes")


def test_threads_take_turns():
    asked = scripted(60.0)
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda n: asked.ask("yes" if n % 3 else "no", str(n)), range(200)))
    asked.stop()
    assert said == [bool(n % 3) for n in range(200)]


@installed
def test_a_tower_of_powers_is_given_up():
    asked = Worker(2.0)
    assert asked.ask(TOWER, "3") is None
    assert asked.ask("1/2", "0.5") is True
    asked.stop()


def run_worker(seconds, lines):
    return subprocess.run([*PROGRAM, str(seconds)], input=lines, capture_output=True, text=True)


@installed
def test_the_program_ends_with_its_input():
    done = run_worker(3, '["1/2", "0.5"]\n["\\\\frac{", "("]\nno json\n')
    assert (done.stdout, done.returncode) == ("ready\ntrue\nfalse\nfalse\n", 0)


@installed
@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_program_that_nobody_kills_ends_by_itself():
    done = run_worker(0.5 - worker.SPARE_SECONDS, f'["{TOWER}", "3"]\n'.replace("\\", "\\\\"))
    assert (done.stdout, done.returncode) == ("ready\n", -14)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on address space that holds")
def test_the_program_bounds_its_memory():
    code = (
        "import runpy, sys\n"
        "program = runpy.run_path(sys.argv[1])\n"
        "program['_bounded']()\n"
        "try: bytearray(program['MEMORY_BYTES'])\n"
        "except MemoryError: print('bounded')\n"
    )
    place = Path(worker.__file__)
    done = subprocess.run(
        [sys.executable, "-c", code, str(place)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "bounded\n"


@installed
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_has_a_process_of_its_own():
    code = (
        "import os\n"
        "from tts.equivalence import mathematical as same\n"
        "assert same('x=1', '1')\n"
        "child = os.fork()\n"
        "assert same('x+1', '1+x') and not same('x+1', '2+x')\n"
        "if child: assert os.waitpid(child, 0)[1] == 0\n"
        "print('fine', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("fine\nfine\n", "")


def test_the_equivalence_is_the_function():
    if find_spec("math_verify"):
        assert equivalence("math") is mathematical
