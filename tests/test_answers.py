import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.agents.answers import LETTERS, SEARCHED, answer_form, balanced
from tts.equivalence import parse_number
from tts.errors import UsageError

FORMS = ["text", "boxed", "number", "choice", "choice:BD", "json:a", "json:a.b", "regex:a(.)", "regex:."]
pieces = st.sampled_from(
    [
        *("\\boxed{", "\\fbox{", "\\boxed ", "\\text{", "{", "}", "\\{", "\\", "$", "\\frac{3}{4}", "answer"),
        *(
            " is ",
            ": ",
            "(C)",
            "**B**",
            "D",
            "A",
            " I ",
            "\n",
            "1",
            "23",
            ",",
            "000",
            ".",
            "/",
            "%",
            "-",
            "e",
        ),
        *('{"a":', '{"b":1}', '"', "[", "null", "1.5", "½", "²", "٣", "−", "x", "\ud800", "</answer>"),
    ]
)
texts = st.one_of(st.text(), st.lists(pieces, max_size=20).map("".join))


def without_a_stable_text(text, marker=object()):  # noqa: B008
    return None


def second_word(text):
    words = text.split()
    return words[1] if len(words) > 1 else None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"First \boxed{5}, no: \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"\[ \boxed{ x = \{1, 2\} } \]", r"x = \{1, 2\}"),
        (r"so $\boxed 5$.", "5"),
        (r"so $\boxed5$.", "5"),
        (r"\boxed \frac{1}{2}, as asked", r"\frac{1}{2}"),
        (r"\fbox{B}", "B"),
        (r"\boxed{\boxed{7}}", "7"),
        (r"\boxed{3}, or rather \boxed{4", "3"),
        (r"\boxed{4 and so \boxed{6}", "6"),
        (r"a stray } and { then \boxed{8} {", "8"),
        (r"\\boxed{9}", "9"),
        (r"x \\\boxed{9}", "9"),
        (r"\boxed{\}}", r"\}"),
        (r"\boxed{}", None),
        (r"\boxedness 3", None),
        ("no box", None),
    ],
)
def test_boxed(text, answer):
    assert answer_form("boxed")(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("It costs 3 + 4 = 7 dollars.", "7"),
        ("#### 1,234.50", "1,234.50"),
        ("a total of $1{,}000$", "1,000"),
        ("x = -5", "-5"),
        ("x = \u22125.", "\u22125"),
        ("-$5", "-5"),
        ("from 3-5", "5"),
        ("10 - 5", "5"),
        (r"\boxed{-\frac{3}{4}}", "-3/4"),
        ("about 2/3 of it", "2/3"),
        ("took 1 1/2 hours", "1 1/2"),
        ("50 % of them", "50%"),
        (r"$12.5\%$", "12.5%"),
        ("6.02e23 of H2O", "6.02e23"),
        ("1.6E-19 C", "1.6E-19"),
        ("7 in the 2nd and 3rd", "7"),
        ("25cm", "25"),
        ("the answer is...42", "42"),
        (".5", ".5"),
        ("1, 2, 3", "3"),
        ("2^{-3}", "-3"),
        ("1/0 of 4", "4"),
        ("4 and 1/0", "4"),
        ("H2O and GPT4", None),
        ("none", None),
    ],
)
def test_number(text, answer):
    assert answer_form("number")(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is (C).", "C"),
        ("the answer is (c).", "C"),
        ("Answer: C", "C"),
        ("answer: c", "C"),
        ("ANSWER: **D**", "D"),
        ("**Answer:** B", "B"),
        ("Answer:\n\n**C) 42**\n", "C"),
        ("The final answer is $\\boxed{\\text{(D)}}$.", "D"),
        (r"\boxed{C. 12}", "C"),
        (r"\boxed{A + B}, hence (C)", "C"),
        ("<answer>E</answer>\nI hope this helps", "E"),
        ("The correct option is therefore B: it rains.", "B"),
        ("Option J is the correct one.", "J"),
        ("The answer is A because it rains. B is wrong.", "A"),
        ("The answer is A good one", None),
        ("The answer is, I think, (B)", "B"),
        ("**A** is tempting, but **C** it is", "C"),
        ("Answer: B. Though **A** was tempting\nC", "B"),
        ("Answer: A. No, wait. Answer: D", "D"),
        ("(A) no (B) yes\n\nC.", "C"),
        ("of (A) and (B), the latter: (b)", "B"),
        ("A vitamin, A Bad Day", None),
        ("Answer: K", None),
    ],
)
def test_choice(text, answer):
    assert answer_form("choice")(text) == answer


def test_the_letters_of_a_choice_can_be_restricted():
    assert answer_form("choice:AB")("Answer: B, not Answer: C") == "B"
    assert answer_form("choice:yn")("Answer: Y") == "Y"


@pytest.mark.parametrize(
    ("path", "text", "answer"),
    [
        ("answer", '```json\n{"answer": " yes ", "why": "{"}\n```', "yes"),
        ("answer", '{"answer": 1} then {"answer": 2} then {"other": 3}', "2"),
        ("answer", '{"answer": 1, "inner": {"answer": 2}}', "1"),
        ("answer", r'with $\frac{1}{2}$ and {x}: {"answer": [1, {"b": 1, "a": 2.0}]}', '[1,{"a":2.0,"b":1}]'),
        ("answer", '{"answer": false}', "false"),
        ("answer", '{"answer": null}', None),
        ("answer", '{"answer": ""}', None),
        ("answer", '{"answer": 1', None),
        ("answer", r'{"answer": "\ud800"}', "?"),
        ("answer", '{"long": "' + "x" * 10_000 + '", "answer": "é"}', "é"),
        ("answer", '{"a": ' + "9" * 10_000 + '} {"answer": 5}', "5"),
        ("a.b", '{"a": {"b": true}}', "true"),
        ("a.b", '{"a": 3}', None),
    ],
)
def test_json(path, text, answer):
    assert answer_form(f"json:{path}")(text) == answer


def test_regex():
    assert answer_form(r"regex:x=(\d+)(y?)")("x=3 x=4y") == "4"
    assert answer_form(r"regex:\d+")("3, 4") == "4"
    assert answer_form("regex:a|(b)")("b a") is None
    assert answer_form("regex:z")("a") is None


def test_a_regex_searches_the_end_of_the_text():
    form = answer_form("regex:z")
    assert form("z" + "a" * (SEARCHED - 1)) == "z"
    assert form("z" + "a" * SEARCHED) is None


def test_the_whole_text_is_stripped_and_a_blank_one_is_no_answer():
    assert answer_form("text")(" a b \n") == "a b"
    assert answer_form("text")(" \n") is None


def test_a_function_is_a_form():
    form = answer_form(second_word)
    assert form("one two three") == "two"
    assert form("one") is None
    assert form.name.startswith("answer:function:second_word#")
    assert answer_form(form) is form
    assert answer_form(lambda text: None, version="2").name.endswith("<lambda>@2")
    with pytest.raises(UsageError, match="give it a version"):
        answer_form(without_a_stable_text)


def test_the_name_of_a_form_is_what_was_written():
    assert [answer_form(name).name for name in FORMS] == FORMS


@pytest.mark.parametrize("written", ["", "box", "text:", "text:x", "choice:", "json:", "regex:", "number:2"])
def test_an_unknown_form_names_the_choices(written):
    with pytest.raises(UsageError, match=r"text, boxed, number, choice, choice:ABCD, json:FIELD and regex:"):
        answer_form(written)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("choice:A1", "choice:ABCD"),
        ("choice:AA", "each letter once"),
        ("json:a..b", "json:result.answer"),
        ("regex:(", "unterminated"),
        ("regex:(?:a){99999999999}", "too large"),
    ],
)
def test_a_form_that_cannot_be_read_says_why(written, told):
    with pytest.raises(UsageError, match=told) as caught:
        answer_form(written)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FORMS)
@given(text=texts)
def test_an_answer_is_stripped_text_or_none(name, text):
    answer = answer_form(name)(text)
    assert answer is None or (answer and answer == answer.strip())


@given(text=texts)
def test_what_a_box_holds_is_balanced(text):
    assert balanced(answer_form("boxed")(text) or "")


@given(inside=texts.filter(balanced), before=texts)
def test_a_closed_box_at_the_end_is_found(inside, before):
    text = f"{before} \\boxed{{{inside}}}"
    found = answer_form("boxed")(text)
    if "box" not in inside and not before.endswith("\\") and not inside.endswith("\\"):
        assert found == (inside.strip() or None)


@given(text=texts)
def test_a_number_can_be_read(text):
    found = answer_form("number")(text)
    assert found is None or parse_number(found) is not None


@given(value=st.integers(), before=st.sampled_from(["", "x = ", "so 12 ", "\\("]))
def test_the_number_at_the_end_is_found(value, before):
    assert answer_form("number")(f"{before}{value}.") == str(value)


@given(text=texts)
def test_a_choice_is_one_of_the_letters(text):
    assert answer_form("choice")(text) in {None, *LETTERS}
    assert answer_form("choice:BD")(text) in {None, "B", "D"}


@given(
    value=st.recursive(st.integers() | st.text() | st.booleans(), lambda inner: st.lists(inner, max_size=3))
)
def test_a_json_value_comes_back(value):
    text = f'{{thinking}} {json.dumps({"a": value})} and "more"'
    found = answer_form("json:a")(text)
    if isinstance(value, str):
        assert found == (value.encode(errors="replace").decode().strip() or None)
    else:
        assert json.loads(found or "") == value


@pytest.mark.parametrize(
    "unit",
    [
        *("{", "}", '{"a":', '{"a":1,', '{"', '{"a":[', "\\boxed{", "\\boxed5", "\\boxed{\\text{", "\\", "$"),
        *("9", "1,", "1/", "1 1/", "1,000", "1e", ".", "-", "answer ", "answer is the ", "**", "(A", "A\n"),
        *("\n", " ", "_", '"'),
    ],
)
def test_a_hostile_text_takes_linear_time(unit):
    """Time quadratic in these lengths would be minutes; nothing is measured."""
    for name in FORMS:
        found = answer_form(name)(unit * (200_000 // len(unit)) + "}")
        assert found is None or found.strip() == found != "", name
