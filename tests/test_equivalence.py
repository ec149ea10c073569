import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.diffs import parse_patch
from tts.equivalence import Near, classes, equivalence, exact, number, parse_number, patch, text
from tts.errors import UsageError

NAMES = ["exact", "text", "number", "patch"]
CANONICAL = ["exact", "text", "patch"]


def diff(*lines: str, path: str = "pkg/a.py", at: int = 10, heading: str = "", index: str = "1..2") -> str:
    old = sum(line[:1] in " -" for line in lines)
    new = sum(line[:1] in " +" for line in lines)
    head = f"diff --git a/{path} b/{path}\nindex {index}\n--- a/{path}\n+++ b/{path}\n"
    return head + f"@@ -{at},{old} +{at},{new} @@ {heading}\n" + "\n".join(lines) + "\n"


pieces = st.sampled_from(
    [
        *("1", "2", ",", ".", "000", "/", "%", "-", "e", "9", "½", "²", "A", "a"),
        *(" ", "\n", "'", "#", '"', "(", ")", "-x=1\n", "+x = 1\n", "+x = 2 # y\n"),
        *("@@ -1 +1 @@\n", "--- a/x.py\n", "+++ b/x.py\n", "diff --git a/x b/x\n"),
    ]
)
hostile = st.one_of(st.text(), st.lists(pieces, max_size=12).map("".join))


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("Paris.", " paris", True),
        ("**(B)**", "b", True),
        ("ＡＢ\u00a0 c", "ab C", True),
        ("-5", "5", False),
        (".5", "5", False),
        ("5!", "5", False),
        ("[0, 1)", "(0, 1)", False),
        ("10²", "102", False),
        ("?!", "...", False),
        ("straße", "STRASSE", True),
    ],
)
def test_text(a, b, same):
    assert text(a, b) is same


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("1,234,567", "1234567.0", True),
        ("0.5", "1/2", True),
        ("50 %", "0.5", True),
        ("1 1/2", "1½", True),
        ("−3", "-3.", True),
        ("6.02e23", "602e21", True),
        ("5 kg", "5", False),
        ("1,23", "123", False),
        ("12345678901", "12345678902", False),
        ("1e999", "2e999", False),
        ("1e-999", "0", False),
        ("nan", "NaN.", True),
        ("1/0", "2/0", False),
        ("10²", "102", False),
        ("yes", "Yes.", True),
    ],
)
def test_number(a, b, same):
    assert number(a, b) is same


def test_the_tolerance_is_relative():
    assert Near(0.01)("100", "100.9")
    assert not Near(0.01)("1", "1.02")


def test_digits_beyond_every_float_are_no_number():
    assert parse_number("9" * 100_000) is None
    assert parse_number("9" * 5000 + "/" + "7" * 5000) is None


def test_patches_are_the_same_but_for_place_context_and_comments():
    one = diff(" a", "-if x<1:", "+if x <= 1:  # fixed", " b", at=10, index="aaa..bbb")
    two = diff("-if x < 1:", "+if x<=1:", " c", at=300, heading="def f():", index="ccc..ddd")
    assert patch(one, two)
    assert patch(one.replace("\n", "\r\n"), two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (diff("-x", "+y"), diff("-x", "+z")),
        (diff("-x", "+y"), diff("-x", "+y", path="pkg/b.py")),
        (diff("-x", "+    y"), diff("-x", "+y")),
        (diff("-x = ''", "+x = '# a'"), diff("-x = ''", "+x = '# b'")),
        (diff(' """', "-a", "+color # 1"), diff(' """', "-a", "+color # 2")),
        (diff("-x", "+a #1", path="a.txt"), diff("-x", "+a #2", path="a.txt")),
        (diff("-a b", "+c  d", path="a.txt"), diff("-a b", "+c d", path="a.txt")),
        ("no diff", "another text"),
    ],
)
def test_patches_that_differ(one, two):
    assert not patch(one, two)


def test_a_change_of_comments_or_spaces_alone_is_no_change():
    real = diff("-x", "+y", path="pkg/b.py")
    assert patch(diff("-x=1", "+x = 1  # one") + real, real)


def test_a_deletion_is_not_an_empty_change():
    gone = (
        "diff --git a/t.py b/t.py\ndeleted file mode 100644\n--- a/t.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-# c\n"
    )
    [file] = parse_patch(gone)
    assert file.deleted
    assert file.path == "t.py"
    assert not patch(gone, diff("-# c", "+# d", path="t.py"))


def test_a_removed_line_of_dashes_is_not_a_file_header():
    [file] = parse_patch(diff("-- x", "--- a/y", "+++ b/y", " z", path="q.sql"))
    assert file.hunks[0].marked("-") == ("- x", "-- a/y")


def test_binary_patches_differ_by_their_content():
    head = "diff --git a/i.png b/i.png\nindex {}\nBinary files a/i.png and b/i.png differ\n"
    assert not patch(head.format("1..2"), head.format("1..3"))


def test_classes_count_from_the_first_seen_and_let_blanks_abstain():
    assert classes(["b", None, "A.", "", "B", " \n", "a"], "text") == [0, None, 1, None, 0, None, 1]
    assert classes(["1/2", "0.5", "50%", "2"], number) == [0, 0, 0, 1]
    assert classes(["ab", "cb", "ad"], lambda a, b: a[0] == b[0]) == [0, 1, 0]


def test_an_unknown_name_names_the_choices():
    with pytest.raises(UsageError, match=r"'fuzzy'.*exact, text, number, math, patch"):
        equivalence("fuzzy")


def test_importing_it_loads_nothing_heavy():
    heavy = {"numpy", "scipy", "networkx", "pydantic", "sympy"}
    code = f"import sys, tts.equivalence; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", NAMES)
@given(a=hostile, b=hostile)
def test_reflexive_and_symmetric(name, a, b):
    same = equivalence(name)
    assert same(a, a)
    assert same(a, b) == same(b, a)


@pytest.mark.parametrize("name", CANONICAL)
@given(outputs=st.lists(hostile, min_size=3, max_size=3))
def test_transitive(name, outputs):
    a, b, c = outputs
    same = equivalence(name)
    assert not (same(a, b) and same(b, c)) or same(a, c)


@pytest.mark.parametrize("name", NAMES)
@given(outputs=st.lists(st.none() | hostile, max_size=8))
def test_classes_agree_with_the_predicate(name, outputs):
    same, found = equivalence(name), classes(outputs, name)
    seen = [n for n in dict.fromkeys(found) if n is not None]
    assert seen == list(range(len(seen)))
    for output, n in zip(outputs, found, strict=True):
        first = next((o for o, m in zip(outputs, found, strict=True) if m == n and n is not None), None)
        assert (n is None) == (not (output or "").strip())
        assert n is None or same(first or "", output or "")


@given(a=hostile)
def test_exact_is_equality(a):
    assert not exact(a, a + "x")


def test_a_hostile_line_is_compared_in_bounded_time():
    line = '"' + '\\"' * 100_000
    assert not patch(diff("-x", "+" + line), diff("-x", "+" + line + " " + "y"))


def test_a_hunk_that_promises_too_many_lines_does_not_swallow_the_next_file():
    broken = diff("-x", "+y").replace("-10,1 +10,1", "-10,9 +10,9")
    files = parse_patch(broken + diff("-p", "+q", path="pkg/b.py"))
    assert [(f.path, f.hunks[0].marked("+")) for f in files] == [("pkg/a.py", ("y",)), ("pkg/b.py", ("q",))]
